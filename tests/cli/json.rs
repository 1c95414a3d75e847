//! The JSON report against its schema.

use jsonschema::Validator;
use serde_json::Value;
use tests::sample;
use tracer::report::{filter::Filter, json, types::Report};

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(json::SCHEMA).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is a schema")
}

fn rendered(report: &Report, filter: &Filter) -> Value {
    serde_json::from_str(&json::render(report, filter)).expect("the report is JSON")
}

#[test]
fn reports_follow_the_schema() {
    let validator = validator();
    let empty = Report { schema: 1, ..Report::default() };
    for report in [sample::report(), empty] {
        let json = rendered(&report, &Filter::default());
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// Takes every key of the report away in turn, wherever it stands, and adds one that is not in the schema.
#[test]
fn the_schema_wants_every_key_and_no_other() {
    assert_wants_every_key(&validator(), &rendered(&sample::report(), &Filter::default()), 20);
}

/// Of a document with more than so many objects.
pub fn assert_wants_every_key(validator: &Validator, report: &Value, least: usize) {
    let mut pointers = Vec::new();
    objects(report, String::new(), &mut pointers);
    assert!(pointers.len() > least);
    for pointer in pointers {
        let keys: Vec<String> = object(&mut report.clone(), &pointer).keys().cloned().collect();
        for key in keys {
            let mut without = report.clone();
            object(&mut without, &pointer).remove(&key);
            assert!(!validator.is_valid(&without), "{pointer}/{key} may be missing");
        }
        let mut with_more = report.clone();
        object(&mut with_more, &pointer).insert("surplus".to_owned(), Value::Bool(true));
        assert!(!validator.is_valid(&with_more), "{pointer} may have more keys");
    }
}

#[test]
fn a_filter_narrows_requests_and_findings_only() {
    let report = sample::report();
    let route = Filter { route: Some("POST /compute".to_owned()), ..Filter::default() };
    let json = rendered(&report, &route);
    assert_eq!(json["requests"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["capture"], rendered(&report, &Filter::default())["capture"]);
    let findings = json["findings"].as_array().expect("a list");
    assert!(findings.iter().all(|finding| finding["evidence"]["route"] == "POST /compute"), "{findings:#?}");
    let slowest = Filter { slowest: Some(1), ..Filter::default() };
    assert_eq!(rendered(&report, &slowest)["requests"][0]["id"], "2");
}

#[test]
fn the_buckets_of_the_sample_sum_to_its_wall_time() {
    for request in sample::report().requests {
        assert_eq!(request.buckets.sum(), request.wall_ns, "{}", request.id);
    }
}

fn object<'a>(value: &'a mut Value, pointer: &str) -> &'a mut serde_json::Map<String, Value> {
    value.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object")
}

/// Pointers of the objects whose keys the schema fixes: all but counts by kind and evidence.
fn objects(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(_) if pointer.ends_with("/lost_events") || pointer.ends_with("/evidence") => {}
        Value::Object(map) => {
            for (key, value) in map {
                objects(value, format!("{pointer}/{key}"), found);
            }
            found.push(pointer);
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                objects(value, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}
