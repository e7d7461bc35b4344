// Draws the dashboard of ?dash= from the Prometheus of ?prom= with Grafana's scenes.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { boot } from './boot.js';
import { registerPanels } from './panels.jsx';
import { initPluginTranslations } from '@grafana/i18n';
import { config, LocationServiceProvider, locationService } from '@grafana/runtime';
import { ThemeContext } from '@grafana/data';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import {
  EmbeddedScene,
  SceneTimeRange,
  SceneVariableSet,
  QueryVariable,
  DataSourceVariable,
  CustomVariable,
  ConstantVariable,
  TextBoxVariable,
  IntervalVariable,
  SceneGridLayout,
  SceneGridItem,
  SceneGridRow,
  VizPanel,
  SceneQueryRunner,
  SceneDataTransformer,
  VariableValueSelectors,
  SceneTimePicker,
  SceneControlsSpacer,
} from '@grafana/scenes';
window.__errors = [];
addEventListener('error', (e) => __errors.push(String(e.message)));
addEventListener('unhandledrejection', (e) => __errors.push('rej ' + (e.reason?.stack || e.reason)));
const variable = (v) => {
  const c = {
    name: v.name,
    label: v.label,
    hide: v.hide ?? 0,
    isMulti: v.multi,
    includeAll: v.includeAll,
    allValue: v.allValue,
    value: v.current?.value ?? (v.includeAll ? '$__all' : ''),
    text: v.current?.text ?? '',
  };
  if (v.type === 'datasource') return new DataSourceVariable({ ...c, value: 'prom', pluginId: v.query });
  if (v.type === 'query')
    return new QueryVariable({
      ...c,
      datasource: v.datasource,
      query: v.query,
      regex: v.regex || '',
      sort: v.sort,
      refresh: v.refresh,
      defaultToAll: v.includeAll,
    });
  if (v.type === 'custom') return new CustomVariable({ ...c, query: v.query });
  if (v.type === 'constant') return new ConstantVariable({ name: v.name, value: v.query });
  if (v.type === 'textbox')
    return new TextBoxVariable({ name: v.name, label: v.label, hide: c.hide, value: v.current?.value ?? v.query });
  if (v.type === 'interval')
    return new IntervalVariable({ name: v.name, value: v.current?.value, intervals: v.query.split(',') });
  throw new Error('variable type ' + v.type);
};
const panel = (p) => {
  let $data;
  if (p.targets?.length) {
    $data = new SceneQueryRunner({
      datasource: p.datasource,
      queries: p.targets.map((t, i) => ({ ...t, refId: t.refId || String.fromCharCode(65 + i) })),
      maxDataPoints: p.maxDataPoints ?? 600,
      minInterval: p.interval,
    });
    if (p.transformations?.length) $data = new SceneDataTransformer({ $data, transformations: p.transformations });
  }
  return new VizPanel({
    key: 'panel-' + p.id,
    title: p.title,
    description: p.description,
    pluginId: p.type,
    options: p.options ?? {},
    fieldConfig: p.fieldConfig ?? { defaults: {}, overrides: [] },
    $data,
  });
};
const item = (p) =>
  new SceneGridItem({ x: p.gridPos.x, y: p.gridPos.y, width: p.gridPos.w, height: p.gridPos.h, body: panel(p) });
(async () => {
  boot();
  await initPluginTranslations('grafana-scenes').catch((e) => __errors.push('i18n ' + e));
  const d = await (await fetch(new URLSearchParams(location.search).get('dash') || './dash.json')).json();
  const all = d.panels.flatMap((p) => [p, ...(p.panels || [])]);
  registerPanels([...new Set(all.map((p) => p.type).filter((t) => t !== 'row'))]);
  const kids = [];
  for (const p of d.panels) {
    if (p.type === 'row')
      kids.push(
        new SceneGridRow({ title: p.title, isCollapsed: false, y: p.gridPos.y, children: (p.panels || []).map(item) }),
      );
    else {
      const last = kids[kids.length - 1];
      if (last instanceof SceneGridRow) last.setState({ children: [...last.state.children, item(p)] });
      else kids.push(item(p));
    }
  }
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({ from: d.time?.from ?? 'now-6h', to: d.time?.to ?? 'now', timeZone: 'utc' }),
    $variables: new SceneVariableSet({ variables: (d.templating?.list || []).map(variable) }),
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({})],
    body: new SceneGridLayout({ children: kids, isLazy: false }),
  });
  window.__scene = scene;
  scene.activate;
  createRoot(document.getElementById('root')).render(
    <MemoryRouter>
      <ThemeContext.Provider value={config.theme2}>
        <GlobalStyles />
        <div style={{ padding: 16, background: config.theme2.colors.background.canvas, minHeight: '100%' }}>
          <h2 style={{ color: '#ccc', font: '20px sans-serif' }}>{d.title}</h2>
          <div style={{ height: 900, display: 'flex', flexDirection: 'column' }}>
            <scene.Component model={scene} />
          </div>
        </div>
      </ThemeContext.Provider>
    </MemoryRouter>,
  );
})().catch((e) => {
  __errors.push('boot ' + (e.stack || e));
  document.body.append(String(e.stack));
});
