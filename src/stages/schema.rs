//! The JSON Schema of pipeline files, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::curves::{sample_efficiency, scaling};
use super::endpoints::SimulatorSettings;
use super::{
    decontaminate, dedupe, describe, evaluate, export, filter, generate, ingest, judge, pair, parse, questions, report,
    source_answer, train,
};
use crate::llm::EndpointSettings;

/// The schema (JSON Schema draft 2020-12); it and the program read the same types.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut kinds = Vec::new();
    let mut kind = |name: &str, settings: schemars::Schema| {
        let mut settings = settings.to_value();
        let own = json!({
            "kind": { "const": name, "description": settings["description"] },
            "name": { "type": "string", "pattern": "^[A-Za-z0-9._-]+$", "description": "Name, unique in the file." },
            "needs": { "type": "array", "items": { "type": "string" }, "description": "Names of the stages it stands on." },
        });
        if let (Some(properties), Value::Object(own)) = (settings["properties"].as_object_mut(), own) {
            properties.extend(own);
        }
        let mut required = settings["required"].as_array().cloned().unwrap_or_default();
        required.extend([json!("name"), json!("kind")]);
        settings["required"] = json!(required);
        kinds.push(settings);
    };
    kind("ingest", generator.root_schema_for::<ingest::IngestSettings>());
    kind("filter", generator.root_schema_for::<filter::FilterSettings>());
    kind("dedupe", generator.root_schema_for::<dedupe::DedupeSettings>());
    kind("parse", generator.root_schema_for::<parse::ParseSettings>());
    kind("describe", generator.root_schema_for::<describe::DescribeSettings>());
    kind("questions", generator.root_schema_for::<questions::QuestionsSettings>());
    kind("generate", generator.root_schema_for::<generate::GenerateSettings>());
    kind("source", generator.root_schema_for::<source_answer::SourceSettings>());
    kind("pair", generator.root_schema_for::<pair::PairSettings>());
    kind("judge", generator.root_schema_for::<judge::JudgeSettings>());
    kind("decontaminate", generator.root_schema_for::<decontaminate::DecontaminateSettings>());
    kind("export", generator.root_schema_for::<export::ExportSettings>());
    kind("train", generator.root_schema_for::<train::TrainStageSettings>());
    kind("evaluate", generator.root_schema_for::<evaluate::EvaluateSettings>());
    kind("sample_efficiency", generator.root_schema_for::<sample_efficiency::SampleEfficiencySettings>());
    kind("scaling", generator.root_schema_for::<scaling::ScalingSettings>());
    kind("report", generator.root_schema_for::<report::ReportSettings>());
    let mut endpoint = generator.root_schema_for::<EndpointSettings>().to_value();
    let mut simulator = generator.root_schema_for::<SimulatorSettings>().to_value();
    let mut definitions = serde_json::Map::new();
    for part in kinds.iter_mut().chain([&mut endpoint, &mut simulator]) {
        if let Some(part) = part.as_object_mut() {
            part.remove("$schema");
            if let Some(Value::Object(own)) = part.remove("$defs") {
                definitions.extend(own);
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "codepmp pipeline",
        "type": "object",
        "additionalProperties": false,
        "required": ["stages"],
        "properties": {
            "name": { "type": "string", "description": "Name of the pipeline; the file's name if left out." },
            "seed": { "type": "integer", "minimum": 0, "description": "Decides splits and samples." },
            "endpoints": { "type": "object", "additionalProperties": endpoint, "description": "Where models are asked." },
            "simulators": { "type": "object", "additionalProperties": simulator, "description": "Simulated model servers." },
            "stages": { "type": "array", "minItems": 1, "items": { "oneOf": kinds } },
        },
        "$defs": definitions,
    })
}
