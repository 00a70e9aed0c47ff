//! Holds JSON against a schema.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

pub(crate) struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    pub(crate) fn new(schema: Value) -> Self {
        let mut compiler = Compiler::new();
        compiler.add_resource("schema.json", schema).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// What is wrong with `json`.
    pub(crate) fn check(&self, json: &Value) -> Result<(), String> {
        let checked = self.schemas.validate(json, self.index);
        checked.map_err(|error| error.to_string())
    }
}
