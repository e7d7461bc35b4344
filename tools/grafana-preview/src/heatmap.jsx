// A heatmap of a classic histogram's buckets: one column a step, one row a bucket, coloured by how many are in it.
// Grafana's own is in no npm package; this one answers whether the query gives what the panel needs, and how it looks.
import React from 'react';
import { FieldType, dateTimeFormat, getValueFormat } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

const SCHEMES = { Blues: [87, 148, 242], Oranges: [255, 152, 48], Greens: [115, 191, 105] };

function rows(series) {
  // Buckets are cumulative: what a bucket holds is what it has more than the one below.
  const buckets = series
    .map((frame) => {
      const value = frame.fields.find((field) => field.type === FieldType.number);
      const time = frame.fields.find((field) => field.type === FieldType.time);
      return {
        le: Number(String(value.labels?.le).replace('+Inf', 'Infinity')),
        times: time.values,
        values: value.values,
      };
    })
    .sort((a, b) => a.le - b.le);
  return buckets.map((bucket, index) => ({
    ...bucket,
    values: bucket.values.map((value, i) =>
      Math.max(0, (value ?? 0) - (index ? (buckets[index - 1].values[i] ?? 0) : 0)),
    ),
  }));
}

export function Heatmap({ data, width, height, options, fieldConfig, timeZone }) {
  const theme = useTheme2();
  if (!data.series.length) return <div data-testid="nodata">No data</div>;
  const buckets = rows(data.series);
  const most = Math.max(...buckets.flatMap((bucket) => bucket.values));
  const [red, green, blue] = SCHEMES[options.color?.scheme] ?? SCHEMES.Blues;
  const unit = getValueFormat(options.yAxis?.unit || fieldConfig.defaults.unit || 'short');
  const name = (le) => (Number.isFinite(le) ? ((shown) => `${shown.text}${shown.suffix ?? ''}`)(unit(le)) : '+Inf');
  const left = 62;
  const bottom = 22;
  const times = buckets[0].times;
  const cell = (width - left) / times.length;
  const row = (height - bottom) / buckets.length;
  const ticks = [0.1, 0.35, 0.6, 0.85].map((part) => Math.floor(times.length * part));
  const text = { fill: theme.colors.text.secondary, fontSize: 11, fontFamily: theme.typography.fontFamily };
  return (
    <svg width={width} height={height} data-testid="heatmap">
      {buckets.map((bucket, r) => (
        <g key={bucket.le}>
          <text {...text} x={left - 6} y={height - bottom - r * row - row / 2 + 4} textAnchor="end">
            {name(bucket.le)}
          </text>
          {bucket.values.map(
            (value, i) =>
              value > 0 && (
                <rect
                  key={i}
                  x={left + i * cell}
                  y={height - bottom - (r + 1) * row}
                  width={Math.max(1, cell)}
                  height={row - 1}
                  fill={`rgba(${red},${green},${blue},${0.12 + 0.88 * Math.sqrt(value / most)})`}
                />
              ),
          )}
        </g>
      ))}
      {ticks.map((i) => (
        <text key={i} {...text} x={left + i * cell} y={height - 6} textAnchor="middle">
          {dateTimeFormat(times[i], { format: 'HH:mm', timeZone })}
        </text>
      ))}
    </svg>
  );
}
