//! Attributes as OTLP has them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};

/// Attributes of a span, an event or a resource. What is not known is left out.
#[derive(Debug, Default)]
pub struct Attributes(Vec<KeyValue>);

impl Attributes {
    pub fn set(&mut self, key: impl Into<String>, value: impl ToValue) -> &mut Attributes {
        let value = Some(AnyValue { value: Some(value.to_value()) });
        self.0.push(KeyValue { key: key.into(), value, ..KeyValue::default() });
        self
    }

    pub fn maybe(&mut self, key: &str, value: Option<impl ToValue>) -> &mut Attributes {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    pub fn take(&mut self) -> Vec<KeyValue> {
        std::mem::take(&mut self.0)
    }
}

/// What an attribute may hold.
pub trait ToValue {
    fn to_value(self) -> Value;
}

impl ToValue for &str {
    fn to_value(self) -> Value {
        Value::StringValue(self.to_owned())
    }
}

impl ToValue for &String {
    fn to_value(self) -> Value {
        Value::StringValue(self.clone())
    }
}

impl ToValue for String {
    fn to_value(self) -> Value {
        Value::StringValue(self)
    }
}

impl ToValue for bool {
    fn to_value(self) -> Value {
        Value::BoolValue(self)
    }
}

impl ToValue for f64 {
    fn to_value(self) -> Value {
        Value::DoubleValue(self)
    }
}

/// Numbers above what OTLP can hold are that.
impl ToValue for u64 {
    fn to_value(self) -> Value {
        Value::IntValue(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl ToValue for u32 {
    fn to_value(self) -> Value {
        u64::from(self).to_value()
    }
}

impl ToValue for u16 {
    fn to_value(self) -> Value {
        u64::from(self).to_value()
    }
}

impl ToValue for Vec<&str> {
    fn to_value(self) -> Value {
        let values = self.into_iter().map(|text| AnyValue { value: Some(text.to_value()) }).collect();
        Value::ArrayValue(ArrayValue { values })
    }
}
