//! TOML as JSON: what stands in the file as the arguments of a job.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

/// The same in JSON, which has texts for dates. What JSON has nothing for is returned instead.
pub(super) fn of<'t, 'd>(
    value: &'t Spanned<DeValue<'d>>,
) -> Result<Value, &'t Spanned<DeValue<'d>>> {
    Ok(match value.get_ref() {
        DeValue::Array(list) => Value::Array(list.iter().map(of).collect::<Result<_, _>>()?),
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            Value::Number(number.ok_or(value)?)
        }
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            Value::Number(number.map_err(|_| value)?.into())
        }
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<_>, _)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                Ok((key.to_string(), of(value)?))
            };
            Value::Object(table.iter().map(entry).collect::<Result<Map<_, _>, _>>()?)
        }
    })
}
