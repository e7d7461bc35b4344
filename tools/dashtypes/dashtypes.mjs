// Writes each dashboard as TypeScript typed by @grafana/schema, so that tsc finds keys and values that Grafana does not know.
// node dashtypes.mjs DASHBOARD.json ...; ends as tsc does.
import { spawnSync } from 'child_process';
import fs from 'fs';
import path from 'path';

const PANELS = {
  timeseries: 'timeseries/panelcfg/x/TimeSeries',
  stat: 'stat/panelcfg/x/Stat',
  bargauge: 'bargauge/panelcfg/x/BarGauge',
  table: 'table/panelcfg/x/Table',
  'state-timeline': 'statetimeline/panelcfg/x/StateTimeline',
  heatmap: 'heatmap/panelcfg/x/Heatmap',
};
const WITH_FIELDS = ['timeseries', 'state-timeline', 'table', 'heatmap'];
const HEAD = `import type { Dashboard, Panel, RowPanel } from '@grafana/schema';
import type { PrometheusAnnotation, PrometheusDataQuery } from '../prometheus';
// An enumeration's value may stand as a literal.
type Lit<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Lit<U>[] : T extends object ? { [K in keyof T]: Lit<T[K]> } : T;
`;

function typed(name, type, value) {
  return `export const ${name}: ${type} = ${JSON.stringify(value)};\n`;
}

function panel(board, number) {
  if (board.type === 'row') return typed(`row${number}`, 'Lit<RowPanel>', board);
  const { options, targets, ...rest } = board;
  let text = `// ${board.title}\n` + typed(`panel${number}`, 'Lit<Panel>', rest);
  for (const target of targets) text += typed(`query${number}_${target.refId}`, 'PrometheusDataQuery', target);
  const schema = PANELS[board.type];
  if (!schema) throw new Error(`no schema for a panel of type ${board.type}`);
  text += `import type * as C${number} from '@grafana/schema/dist/esm/raw/composable/${schema}PanelCfg_types.gen';\n`;
  text += typed(`options${number}`, `Lit<Partial<C${number}.Options>>`, options);
  const fields = board.fieldConfig?.defaults?.custom;
  if (fields && WITH_FIELDS.includes(board.type)) {
    text += typed(`fields${number}`, `Lit<Partial<C${number}.FieldConfig>>`, fields);
  }
  return text;
}

fs.rmSync('generated', { recursive: true, force: true });
fs.mkdirSync('generated');
for (const file of process.argv.slice(2)) {
  const { panels, annotations, templating, ...frame } = JSON.parse(fs.readFileSync(file));
  const text =
    HEAD +
    typed('frame', "Lit<Omit<Dashboard, 'panels' | 'templating' | 'annotations'>>", frame) +
    typed('annotations', 'Lit<PrometheusAnnotation>[]', annotations.list) +
    typed('variables', "Lit<NonNullable<Dashboard['templating']>>", templating) +
    panels.map(panel).join('');
  fs.writeFileSync(path.join('generated', `${path.basename(file, '.json')}.ts`), text);
}
const done = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', '.'], { stdio: 'inherit' });
console.log(`${process.argv.length - 2} dashboards: ${done.status ? 'not as Grafana has them' : 'as Grafana has them'}`);
process.exit(done.status ?? 1);
