import fs from 'fs';
const d = JSON.parse(fs.readFileSync(process.argv[2]));
const C = {
  timeseries: 'timeseries/panelcfg/x/TimeSeries',
  stat: 'stat/panelcfg/x/Stat',
  gauge: 'gauge/panelcfg/x/Gauge',
  bargauge: 'bargauge/panelcfg/x/BarGauge',
  table: 'table/panelcfg/x/Table',
  'state-timeline': 'statetimeline/panelcfg/x/StateTimeline',
  barchart: 'barchart/panelcfg/x/BarChart',
  heatmap: 'heatmap/panelcfg/x/Heatmap',
  piechart: 'piechart/panelcfg/x/PieChart',
  text: 'text/panelcfg/x/Text',
  histogram: 'histogram/panelcfg/x/Histogram',
};
let o =
  `import type {Dashboard,RowPanel,Panel,DataQuery} from '@grafana/schema';\nimport type {PrometheusDataQuery} from './q.js';\ntype Lit<T> = T extends string ? ` +
  '`${T}`' +
  ` : T extends number|boolean|null|undefined ? T : T extends (infer U)[] ? Lit<U>[] : T extends object ? {[K in keyof T]: Lit<T[K]>} : T;\n`;
let i = 0;
const ps = d.panels;
o += `export const dash: Lit<Omit<Dashboard,'panels'|'templating'>> = ${JSON.stringify({ ...d, panels: undefined, templating: undefined })};\n`;
for (const p of ps) {
  i++;
  if (p.type === 'row') {
    o += `export const r${i}: Lit<RowPanel> = ${JSON.stringify(p)};\n`;
    continue;
  }
  const { options, targets, ...rest } = p;
  const fc = rest.fieldConfig?.defaults?.custom;
  o += `/* ${p.title} */ export const p${i}: Lit<Panel> = ${JSON.stringify(rest)};\n`;
  for (const t of targets || [])
    o += `export const t${i}_${t.refId || 'x'}: PrometheusDataQuery = ${JSON.stringify(t)};\n`;
  if (C[p.type]) {
    o += `import type * as C${i} from '@grafana/schema/dist/esm/raw/composable/${C[p.type]}PanelCfg_types.gen';\nexport const o${i}: Lit<Partial<C${i}.Options>> = ${JSON.stringify(options ?? {})};\n`;
    if (fc && ['timeseries', 'state-timeline', 'barchart', 'table', 'heatmap', 'histogram'].includes(p.type))
      o += `export const f${i}: Lit<Partial<C${i}.FieldConfig>> = ${JSON.stringify(fc)};\n`;
  } else o += `// no schema for ${p.type}\n`;
}
fs.writeFileSync('gen.ts', o);
