// What a dashboard of ours may be, by Grafana's own types, which leave open what belongs to a kind of panel.
// Those kinds have types of their own, in the same package; here they are put together.
import type { AnnotationQuery, Dashboard, FieldConfig, Panel, RowPanel, VariableModel } from "@grafana/schema";
import type { PrometheusDataQuery } from "grafana/prometheus";
import type { Options as StatOptions } from "grafana/stat";
import type { FieldConfig as ChartFields, Options as ChartOptions } from "grafana/timeseries";

// The text of a JSON file has the values of enums, not their names.
type Json<T> = T extends string ? `${T}` : T extends object ? { [Key in keyof T]: Json<T[Key]> } : T;

type Fields<Custom> = {
  defaults: Omit<FieldConfig, "custom"> & { custom?: Custom };
  // No type says which value belongs to which property.
  overrides: { matcher: { id: string; options: string }; properties: { id: string; value: unknown }[] }[];
};

type Of<Kind extends string, Options, Custom> = Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Kind;
  // Newer versions fill in what they have added.
  options: Partial<Options>;
  fieldConfig: Fields<Custom>;
  targets: PrometheusDataQuery[];
};

// Fields of the annotations of the data source for Prometheus, which have no type in the package.
type Annotation = AnnotationQuery & Record<"expr" | "step" | "titleFormat" | "textFormat" | "tagKeys", string>;

// A variable that chooses a data source comes from none.
type Variable = Omit<VariableModel, "datasource"> & { datasource?: VariableModel["datasource"] } & FormerVariable;

// Version 10.1 asks for these; later ones ignore them.
type FormerVariable = { id?: string };
type Former = { style?: "dark" };

export type Board = Json<
  Omit<Dashboard, "annotations" | "panels" | "templating"> &
    Former & {
      annotations: { list?: Annotation[] };
      panels: (Of<"stat", StatOptions, never> | Of<"timeseries", ChartOptions, ChartFields> | RowPanel)[];
      templating: { list: Variable[] };
    }
>;
