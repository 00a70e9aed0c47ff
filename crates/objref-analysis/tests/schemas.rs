//! The schemas in docs/schemas are those of the structs. After a change:
//!
//! ```sh
//! UPDATE_SCHEMAS=1 cargo test -p objref-analysis --test schemas
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use objref_analysis::{
    Baseline, CheckReport, DiffReport, GoroutineReport, ObjectReport, Summary, TopReport,
    TreeReport, TypeReport, Unfolded, Verification, Why, policy_schema,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas")
}

/// The schema of what is written of a `T`: every field is there.
fn schema<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

#[test]
fn are_up_to_date() {
    let schemas = [
        ("summary.json", schema::<Summary>()),
        ("goroutines.json", schema::<GoroutineReport>()),
        ("types.json", schema::<TypeReport>()),
        ("verify.json", schema::<Verification>()),
        ("tree.json", schema::<TreeReport>()),
        ("top.json", schema::<TopReport>()),
        ("unfolded.json", schema::<Unfolded>()),
        ("why.json", schema::<Why>()),
        ("object.json", schema::<ObjectReport>()),
        ("check.json", schema::<CheckReport>()),
        ("baseline.json", schema::<Baseline>()),
        (
            "policy.json",
            serde_json::to_string_pretty(&policy_schema()).unwrap() + "\n",
        ),
        ("diff.json", schema::<DiffReport>()),
    ];
    for (name, schema) in &schemas {
        let path = folder().join(name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, schema).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == *schema,
            "{name} is out of date: set UPDATE_SCHEMAS"
        );
    }
    let known: BTreeSet<String> = schemas.map(|(name, _)| name.to_owned()).into();
    let there = fs::read_dir(folder()).unwrap();
    let there: BTreeSet<String> = there
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, known);
}
