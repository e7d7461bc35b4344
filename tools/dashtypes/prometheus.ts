// What the package of Grafana's types leaves out: queries and annotations of the data source for Prometheus.
import type { AnnotationQuery, DataQuery } from '@grafana/schema';

export interface PrometheusDataQuery extends DataQuery {
  expr: string;
  exemplar?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  interval?: string;
  legendFormat?: string;
  range?: boolean;
}

export interface PrometheusAnnotation extends AnnotationQuery {
  expr: string;
}
