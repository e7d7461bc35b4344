// A state timeline: one row a series, a segment for as long as it keeps its state, in the state's colour.
import React from 'react';
import { FieldType, dateTimeFormat, getFieldDisplayName } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

function segments(times, values) {
  const found = [];
  values.forEach((value, i) => {
    const last = found[found.length - 1];
    if (last && last.value === value) last.until = i + 1;
    else found.push({ value, from: i, until: i + 1 });
  });
  return found.filter((segment) => segment.value !== null && segment.value !== undefined);
}

export function Timeline({ data, width, height, timeZone }) {
  const theme = useTheme2();
  if (!data.series.length) return <div data-testid="nodata">No data</div>;
  const series = data.series.map((frame) => ({
    field: frame.fields.find((field) => field.type === FieldType.number),
    times: frame.fields.find((field) => field.type === FieldType.time).values,
    frame,
  }));
  const left = 170;
  const bottom = 44;
  const row = (height - bottom) / series.length;
  const times = series[0].times;
  const cell = (width - left) / times.length;
  const text = { fill: theme.colors.text.secondary, fontSize: 11, fontFamily: theme.typography.fontFamily };
  const states = new Map();
  const drawn = series.map(({ field, frame }, r) => (
    <g key={r}>
      <text {...text} x={left - 8} y={r * row + row / 2 + 4} textAnchor="end">
        {getFieldDisplayName(field, frame, data.series).slice(0, 26)}
      </text>
      {segments(times, field.values).map((segment) => {
        const shown = field.display(segment.value);
        states.set(shown.text, shown.color);
        return (
          <rect
            key={segment.from}
            x={left + segment.from * cell}
            y={r * row + row * 0.1}
            width={Math.max(1, (segment.until - segment.from) * cell)}
            height={row * 0.8}
            fill={shown.color}
            fillOpacity={0.75}
          />
        );
      })}
    </g>
  ));
  return (
    <svg width={width} height={height} data-testid="timeline">
      {drawn}
      {[0.1, 0.35, 0.6, 0.85].map((part) => (
        <text key={part} {...text} x={left + part * (width - left)} y={height - bottom + 15} textAnchor="middle">
          {dateTimeFormat(times[Math.floor(times.length * part)], { format: 'HH:mm', timeZone })}
        </text>
      ))}
      {[...states].map(([name, color], i) => (
        <g key={name}>
          <rect x={8 + i * 90} y={height - 14} width={14} height={4} fill={color} />
          <text {...text} x={28 + i * 90} y={height - 8}>
            {name}
          </text>
        </g>
      ))}
    </svg>
  );
}
