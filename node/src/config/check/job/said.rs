//! What a job says of each of its tasks besides how it is treated.

use std::sync::Arc;

use umbel_protocol::task::Metadata;

use super::super::super::raw::RawJob;
use super::super::super::report::Problems;
use super::super::labels;

/// What `raw` says of its tasks, if anything.
pub(super) fn said(raw: &mut RawJob, problems: &mut Problems<'_>) -> Option<Arc<Metadata>> {
    let mut said = Metadata {
        labels: labels(std::mem::take(&mut raw.labels), problems),
        ..Metadata::default()
    };
    for (name, value) in &raw.headers {
        if let Err(invalid) = said.headers.insert(name.get_ref(), value.get_ref()) {
            problems.add(name.span(), invalid.to_string(), "");
        }
    }
    if let Some(name) = &raw.display_name {
        said.display_name = Some(name.get_ref().as_str().into());
        if let Err(invalid) = said.check() {
            problems.add(name.span(), invalid.to_string(), "");
        }
    }
    (!said.is_empty()).then(|| Arc::new(said))
}
