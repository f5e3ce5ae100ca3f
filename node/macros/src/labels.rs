//! Labels: what `select` wants of a node, and what `labels` says of a task.

use syn::meta::ParseNestedMeta;
use syn::{Error, LitStr, Result};

const LABELS_MAX: usize = 32;
const LABEL_BYTES_MAX: usize = 64;

/// Keys and values, as in `role=db, zone=a`; at least one.
pub(crate) fn labels(meta: &ParseNestedMeta<'_>) -> Result<Vec<(String, String)>> {
    let literal: LitStr = meta.value()?.parse()?;
    read(&literal.value()).map_err(|why| Error::new(literal.span(), why))
}

/// As `umbel-protocol` reads them, except that there must be some: who wants none says nothing.
fn read(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let label = part.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        let Some((key, value)) = label.filter(|(key, value)| is_label(key) && is_label(value))
        else {
            return Err(format!(
                "`{part}` is no label: write key=value, each with 1 to {LABEL_BYTES_MAX} of \
                 A-Z a-z 0-9 _ - . : /"
            ));
        };
        if labels.iter().any(|(known, _)| known == key) {
            return Err(format!("`{key}` is said twice; write each key once"));
        }
        labels.push((key.to_owned(), value.to_owned()));
    }
    if !(1..=LABELS_MAX).contains(&labels.len()) {
        return Err(format!(
            "write 1 to {LABELS_MAX} labels, separated by commas, as in \"role=db\" or \
             \"role=db, zone=a\""
        ));
    }
    Ok(labels)
}

fn is_label(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::{LABELS_MAX, read};

    #[test]
    fn reads_labels() {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read("role=db"), Ok(vec![label("role", "db")]));
        let two = vec![label("role", "db"), label("zone", "a/1")];
        assert_eq!(read(" role = db ,zone=a/1,"), Ok(two));
        let most = |count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(read(&most(LABELS_MAX)).is_ok());
        let long = format!("k={}", "x".repeat(65));
        for text in ["", ",", "role", "=db", "role=", "a b=c", "a=b,a=c", &long, &most(33)] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
