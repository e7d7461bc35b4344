// What Grafana's own app does at start and no npm package ships: field-config registry, transformers, runtime services.
import {
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformersRegistry,
  standardTransformers,
  createTheme,
  LoadingState,
  toDataFrame,
  displayNameOverrideProcessor,
  numberOverrideProcessor,
  thresholdsOverrideProcessor,
  valueMappingsOverrideProcessor,
  unitOverrideProcessor,
  dataLinksOverrideProcessor,
  booleanOverrideProcessor,
  stringOverrideProcessor,
  identityOverrideProcessor,
  EventBusSrv,
} from '@grafana/data';
import * as rt from '@grafana/runtime';
import { from, of, concat } from 'rxjs';
import { map, catchError } from 'rxjs/operators';
import { PromDS } from './prom.js';
export function boot() {
  const P = identityOverrideProcessor,
    props = {
      displayName: displayNameOverrideProcessor,
      unit: unitOverrideProcessor,
      min: numberOverrideProcessor,
      max: numberOverrideProcessor,
      decimals: numberOverrideProcessor,
      noValue: stringOverrideProcessor,
      thresholds: thresholdsOverrideProcessor,
      mappings: valueMappingsOverrideProcessor,
      links: dataLinksOverrideProcessor,
      color: P,
      filterable: booleanOverrideProcessor,
      actions: P,
      fieldMinMax: booleanOverrideProcessor,
      description: stringOverrideProcessor,
    };
  standardEditorsRegistry.setInit(() =>
    [
      'number',
      'text',
      'select',
      'boolean',
      'color',
      'unit',
      'thresholds',
      'mappings',
      'links',
      'actions',
      'radio',
      'slider',
      'strings',
      'stats-picker',
      'field-name',
      'multi-select',
      'timezone',
      'dashboard-uid',
    ].map((id) => ({ id, name: id, editor: () => null })),
  );
  standardFieldConfigEditorRegistry.setInit(() =>
    Object.entries(props).map(([id, process]) => ({
      id,
      path: id,
      name: id,
      editor: () => null,
      override: () => null,
      process,
      shouldApply: () => true,
      settings: {},
      category: ['Standard options'],
      getItemsCount: () => 0,
    })),
  );
  standardTransformersRegistry.setInit(() =>
    Object.values(Object.fromEntries(Object.values(standardTransformers).map((t) => [t.id, t]))).map((t) => ({
      id: t.id,
      name: t.name,
      transformation: async () => t,
      editor: () => null,
    })),
  );
  rt.config.theme2 = createTheme({ colors: { mode: 'dark' } });
  rt.config.featureToggles = {};
  rt.config.bootData = { user: { timezone: 'utc' }, settings: {}, navTree: [] };
  const ds = new PromDS(new URLSearchParams(location.search).get('prom') || 'http://127.0.0.1:19090');
  const list = [{ ...ds.instanceSettings }];
  rt.setDataSourceSrv({
    get: async () => ds,
    getList: () => list,
    getInstanceSettings: () => ds.instanceSettings,
    reload() {},
    registerRuntimeDataSource() {},
  });
  rt.setRunRequest((d, req) => {
    const base = { request: req, timeRange: req.range };
    return concat(
      of({ ...base, state: LoadingState.Loading, series: [] }),
      from(d.query(req)).pipe(
        map((r) => ({ ...base, state: LoadingState.Done, series: r.data.map(toDataFrame) })),
        catchError((e) =>
          of({
            ...base,
            state: LoadingState.Error,
            series: [],
            errors: [{ message: String(e.message || e) }],
            error: { message: String(e.message || e) },
          }),
        ),
      ),
    );
  });
  rt.setTemplateSrv({ replace: (s) => s, getVariables: () => [], containsTemplate: () => false, updateTimeRange() {} });
  rt.setBackendSrv({ fetch: () => of({ data: {} }), get: async () => ({}), post: async () => ({}) });
  rt.setAppEvents?.(new EventBusSrv());
  rt.setPluginImportUtils({
    importPanelPlugin: async (id) => {
      throw new Error('no panel plugin ' + id);
    },
    getPanelPluginFromCache: () => undefined,
  });
  rt.setEchoSrv?.({ flush() {}, addBackend() {}, addEvent() {} });
  return ds;
}
