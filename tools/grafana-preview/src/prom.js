// A data source that asks Prometheus as Grafana's does, and keeps what it asked in window.__queries.
import { DataSourceApi, createDataFrame, FieldType } from '@grafana/data';
import { sceneGraph } from '@grafana/scenes';
const dur = (s) => (s < 60 ? `${s}s` : s % 3600 === 0 ? `${s / 3600}h` : s % 60 === 0 ? `${s / 60}m` : `${s}s`);
export class PromDS extends DataSourceApi {
  constructor(url) {
    const is = {
      id: 1,
      uid: 'prom',
      name: 'prom',
      type: 'prometheus',
      isDefault: true,
      meta: { id: 'prometheus', name: 'Prometheus', info: { logos: {} }, metrics: true, annotations: true },
      jsonData: { timeInterval: '15s' },
      readOnly: true,
      access: 'proxy',
    };
    super(is);
    this.instanceSettings = is;
    this.url = url;
    this.meta = is.meta;
    window.__queries = [];
  }
  async api(path, params) {
    const r = await fetch(this.url + path, { method: 'POST', body: new URLSearchParams(params) });
    const j = await r.json();
    if (j.status !== 'success') throw new Error(j.error);
    return j;
  }
  async query(req) {
    const out = [];
    const scrape = Number(new URLSearchParams(location.search).get('scrape')) || 15,
      from = req.range.from.unix(),
      to = req.range.to.unix();
    for (const t of req.targets) {
      if (t.hide || !t.expr) continue;
      let step = Math.max(Math.ceil((req.intervalMs || 15000) / 1000), Math.ceil((to - from) / 11000), scrape);
      if (t.interval) {
        const m = /^(\d+)([smh])$/.exec(t.interval);
        if (m) step = Math.max(step, m[1] * { s: 1, m: 60, h: 3600 }[m[2]]);
      }
      const sv = {
        ...req.scopedVars,
        __interval: { value: dur(step) },
        __interval_ms: { value: step * 1000 },
        __rate_interval: { value: dur(Math.max(step + scrape, 4 * scrape)) },
        __range: { value: dur(to - from) },
        __range_s: { value: to - from },
      };
      const sceneObj = req.scopedVars?.__sceneObject?.value?.valueOf?.() ?? req.scopedVars?.__sceneObject?.value;
      const promQuote = (v) =>
        Array.isArray(v)
          ? v.length === 1
            ? esc(v[0])
            : '(' + v.map(esc).join('|') + ')'
          : typeof v === 'string'
            ? v
            : String(v);
      const esc = (v) => String(v).replace(/[\\^$*+?.()|[\]{}]/g, '\\\\$&');
      const expr = sceneObj ? sceneGraph.interpolate(sceneObj, t.expr, sv, promQuote) : t.expr;
      const rec = { refId: t.refId, raw: t.expr, expr, step };
      window.__queries.push(rec);
      if (/\$\{?[a-z_]+/i.test(expr)) {
        rec.error = 'uninterpolated variable';
        throw new Error('uninterpolated variable in: ' + expr);
      }
      let j;
      try {
        j =
          t.instant && !t.range
            ? await this.api('/api/v1/query', { query: expr, time: to })
            : await this.api('/api/v1/query_range', {
                query: expr,
                start: Math.floor(from / step) * step,
                end: Math.floor(to / step) * step,
                step,
              });
      } catch (e) {
        rec.error = e.message;
        throw e;
      }
      const rs = j.data.resultType === 'scalar' ? [{ metric: {}, value: j.data.result }] : j.data.result;
      rec.series = rs.length;
      rec.warnings = j.warnings;
      const legend = (m) =>
        !t.legendFormat || t.legendFormat === '__auto'
          ? undefined
          : t.legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, k) => m[k] ?? '');
      const auto = (m) => {
        const { __name__, ...l } = m;
        return (
          `${__name__ || ''}${
            Object.keys(l).length
              ? '{' +
                Object.entries(l)
                  .map(([k, v]) => `${k}="${v}"`)
                  .join(', ') +
                '}'
              : ''
          }` || t.expr
        );
      };
      if (t.format === 'table') {
        const keys = [...new Set(rs.flatMap((r) => Object.keys(r.metric)))];
        const rows = rs.flatMap((r) => (r.values || [r.value]).map((v) => ({ m: r.metric, v })));
        out.push(
          createDataFrame({
            refId: t.refId,
            meta: { preferredVisualisationType: 'table' },
            fields: [
              { name: 'Time', type: FieldType.time, values: rows.map((x) => x.v[0] * 1000) },
              ...keys.map((k) => ({ name: k, type: FieldType.string, values: rows.map((x) => x.m[k] ?? '') })),
              // As Grafana names them where a panel has several queries.
              {
                name: req.targets.length > 1 ? `Value #${t.refId}` : 'Value',
                type: FieldType.number,
                values: rows.map((x) => parseFloat(x.v[1])),
              },
            ],
          }),
        );
        continue;
      }
      for (const r of rs) {
        const vs = r.values || [r.value];
        let ti = [],
          va = [];
        if (r.values) {
          const mp = new Map(vs.map(([a, b]) => [a, b]));
          for (let x = Math.floor(from / step) * step; x <= to; x += step) {
            ti.push(x * 1000);
            va.push(mp.has(x) ? parseFloat(mp.get(x)) : null);
          }
        } else {
          ti = [vs[0][0] * 1000];
          va = [parseFloat(vs[0][1])];
        }
        out.push(
          createDataFrame({
            refId: t.refId,
            name: legend(r.metric) ?? auto(r.metric),
            meta: { type: 'timeseries-multi', executedQueryString: expr },
            fields: [
              { name: 'Time', type: FieldType.time, values: ti, config: { interval: step * 1000 } },
              {
                name: 'Value',
                type: FieldType.number,
                labels: r.metric,
                values: va,
                config: { displayNameFromDS: legend(r.metric) ?? auto(r.metric) },
              },
            ],
          }),
        );
      }
    }
    return { data: out };
  }
  async metricFindQuery(q, opts) {
    const s = typeof q === 'string' ? q : q.query || '';
    const range = opts?.range;
    const p = range ? { start: range.from.unix(), end: range.to.unix() } : {};
    let m = /^label_values\((?:(.+),\s*)?([a-zA-Z_]\w*)\)$/.exec(s.trim());
    const scene = opts?.scopedVars?.__sceneObject?.value;
    const obj = scene?.valueOf?.() ?? scene;
    if (m) {
      const sel =
        m[1] && obj
          ? sceneGraph.interpolate(obj, m[1], opts?.scopedVars, (v) => (Array.isArray(v) ? '(' + v.join('|') + ')' : v))
          : m[1];
      const u = new URL(`${this.url}/api/v1/label/${m[2]}/values`);
      for (const [k, v] of Object.entries(p)) u.searchParams.set(k, v);
      if (sel) u.searchParams.append('match[]', sel);
      const j = await (await fetch(u)).json();
      window.__queries.push({ raw: s, expr: sel, values: j.data?.length });
      return (j.data || []).map((x) => ({ text: x, value: x }));
    }
    m = /^query_result\((.+)\)$/.exec(s.trim());
    if (m) {
      const j = await this.api('/api/v1/query', { query: m[1] });
      return j.data.result.map((r) => ({
        text: `${r.metric.__name__ || ''}{${Object.entries(r.metric)
          .filter(([k]) => k !== '__name__')
          .map(([k, v]) => `${k}="${v}"`)
          .join(',')}} ${r.value[1]} ${r.value[0] * 1000}`,
      }));
    }
    throw new Error('unsupported variable query: ' + s);
  }
  async testDatasource() {
    return { status: 'success' };
  }
}
