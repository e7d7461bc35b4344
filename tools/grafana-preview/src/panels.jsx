// The panel plugins, made of the parts that Grafana publishes; what has none is drawn by heatmap.jsx and timeline.jsx.
import React from 'react';
import { PanelPlugin, FieldType, getDisplayValueAlignmentFactors, getFieldDisplayValues } from '@grafana/data';
import { TimeSeries, BigValue, VizRepeater, BarGauge, Table, useTheme2 } from '@grafana/ui';
import { sceneUtils } from '@grafana/scenes';
import { Heatmap } from './heatmap.jsx';
import { Timeline } from './timeline.jsx';
const customFC = (ids) => ({
  useCustomConfig: (b) =>
    ids.forEach(([path, dflt]) =>
      b.addCustomEditor({
        id: path,
        path,
        name: path,
        category: ['Panel'],
        defaultValue: dflt,
        editor: () => null,
        override: () => null,
        process: (v) => v,
        shouldApply: () => true,
        settings: {},
      }),
    ),
});
const GRAPH = [
  ['drawStyle', 'line'],
  ['lineInterpolation', 'linear'],
  ['lineWidth', 1],
  ['fillOpacity', 0],
  ['gradientMode', 'none'],
  ['barAlignment', 0],
  ['showPoints', 'auto'],
  ['pointSize', 5],
  ['spanNulls', false],
  ['insertNulls', false],
  ['showValues', false],
  ['stacking', { mode: 'none', group: 'A' }],
  ['axisPlacement', 'auto'],
  ['axisLabel', ''],
  ['axisColorMode', 'text'],
  ['axisBorderShow', false],
  ['axisWidth', undefined],
  ['axisSoftMin', undefined],
  ['axisSoftMax', undefined],
  ['axisCenteredZero', false],
  ['axisGridShow', undefined],
  ['scaleDistribution', { type: 'linear' }],
  ['hideFrom', { tooltip: false, viz: false, legend: false }],
  ['thresholdsStyle', { mode: 'off' }],
  ['lineStyle', undefined],
  ['transform', undefined],
  ['fillBelowTo', undefined],
];
function Ts({ data, timeRange, timeZone, width, height, options }) {
  const frames = React.useMemo(
    () =>
      data.series.filter(
        (f) => f.fields.some((x) => x.type === FieldType.time) && f.fields.some((x) => x.type === FieldType.number),
      ),
    [data],
  );
  if (!frames.length) return <div data-testid="nodata">No data</div>;
  return (
    <TimeSeries
      frames={frames}
      structureRev={data.structureRev}
      timeRange={timeRange}
      timeZone={timeZone}
      width={width}
      height={height}
      legend={options.legend ?? { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] }}
      options={options}
    >
      {() => null}
    </TimeSeries>
  );
}
const values = (data, fieldConfig, options, replaceVariables, theme, timeZone, spark) =>
  getFieldDisplayValues({
    fieldConfig,
    reduceOptions: options.reduceOptions ?? { calcs: ['lastNotNull'] },
    replaceVariables,
    theme,
    data: data.series,
    sparkline: spark,
    timeZone,
  });
function Stat({ data, fieldConfig, options, replaceVariables, width, height, timeZone }) {
  const theme = useTheme2();
  const vs = values(data, fieldConfig, options, replaceVariables, theme, timeZone, options.graphMode !== 'none');
  return (
    <VizRepeater
      source={vs}
      getValues={() => vs}
      itemSpacing={3}
      width={width}
      height={height}
      autoGrid
      orientation={options.orientation ?? 'auto'}
      renderValue={({ value, width, height, count }) => {
        const v = { ...value.display };
        if (options.textMode === 'auto' || !options.textMode) v.title = count > 1 ? value.display.title : undefined;
        return (
          <BigValue
            value={v}
            count={count}
            sparkline={value.sparkline}
            colorMode={options.colorMode ?? 'value'}
            graphMode={options.graphMode ?? 'area'}
            justifyMode={options.justifyMode ?? 'auto'}
            textMode={options.textMode ?? 'auto'}
            text={options.text}
            width={width}
            height={height}
            theme={theme}
          />
        );
      }}
    />
  );
}
function Bars({ data, fieldConfig, options, replaceVariables, width, height, timeZone }) {
  const theme = useTheme2();
  const vs = values(data, fieldConfig, options, replaceVariables, theme, timeZone, false);
  return (
    <VizRepeater
      source={vs}
      getValues={() => vs}
      width={width}
      height={height}
      orientation={options.orientation ?? 'auto'}
      renderValue={({ value, width, height, orientation }) => (
        <BarGauge
          value={value.display}
          width={width}
          height={height}
          orientation={orientation}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor?.(value.colIndex)}
          theme={theme}
          itemSpacing={10}
          text={options.text}
          alignmentFactors={getDisplayValueAlignmentFactors(vs)}
          displayMode={options.displayMode ?? 'gradient'}
        />
      )}
    />
  );
}
function Tab({ data, width, height, options }) {
  const f = data.series[options.frameIndex ?? 0];
  if (!f) return <div data-testid="nodata">No data</div>;
  return (
    <Table data={f} width={width} height={height} showTypeIcons={options.showHeader} initialSortBy={options.sortBy} />
  );
}
function Text({ options }) {
  return <div style={{ whiteSpace: 'pre-wrap' }}>{options.content}</div>;
}
function Unsupported({ id }) {
  return <div data-testid="unsupported">no renderer in npm for panel type {id}</div>;
}
export function registerPanels(types) {
  const mk = (C, custom) =>
    new PanelPlugin(C).useFieldConfig({
      ...(custom ? customFC(custom) : {}),
      standardOptions: {
        color: { defaultValue: { mode: custom === GRAPH ? 'palette-classic' : 'thresholds' } },
        thresholds: {
          defaultValue: {
            mode: 'absolute',
            steps: [
              { value: -Infinity, color: 'green' },
              { value: 80, color: 'red' },
            ],
          },
        },
      },
    });
  const P = {
    timeseries: mk(Ts, GRAPH),
    stat: mk(Stat),
    bargauge: mk(Bars),
    gauge: mk(Bars),
    table: mk(Tab, [
      ['align', 'auto'],
      ['cellOptions', { type: 'auto' }],
      ['inspect', false],
      ['filterable', undefined],
      ['width', undefined],
      ['hidden', undefined],
      ['minWidth', undefined],
    ]),
    text: mk(Text),
    heatmap: mk(Heatmap, GRAPH),
    'state-timeline': mk(Timeline, GRAPH),
  };
  for (const t of types) P[t] ??= mk(() => <Unsupported id={t} />, GRAPH);
  for (const [id, plugin] of Object.entries(P)) {
    plugin.meta = { id, name: id, info: { version: '0', logos: {}, links: [] }, skipDataQuery: id === 'text' };
    sceneUtils.registerRuntimePanelPlugin({ pluginId: id, plugin });
  }
}
