//! What is said when a command fails: what happened, why, and what to do next.

use anyhow::Error;

use crate::client::ClientError;

/// Three parts, as far as they are known.
pub(super) fn told(error: &Error) -> String {
    let mut said = error.to_string();
    // A report on a file brings its own beginning, as many of them as there are problems, also where a
    // node tells it.
    let mut text =
        if said.starts_with("error: ") { said.clone() } else { format!("error: {said}") };
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors repeat what is behind them.
        if !said.contains(&cause) {
            text.push_str(&format!("\n  why: {}", cause.replace('\n', "\n       ")));
        }
        said = cause;
    }
    if let Some(next) = next(error) {
        text.push_str(&format!("\n  next: {next}"));
    }
    text
}

fn next(error: &Error) -> Option<&'static str> {
    error.chain().find_map(|cause| match cause.downcast_ref::<ClientError>()? {
        // A node that answers and refuses says itself what to do.
        ClientError::NoNode { tried } if tried.iter().any(|tried| !tried.is_silent) => None,
        ClientError::NoNode { .. } => Some(
            "start a node with `umbel node`, or a local cluster with `umbel dev`; for a cluster \
             elsewhere use --connect HOST:PORT --tls DIR",
        ),
        ClientError::NoAnswer { .. } => {
            Some("see `umbel cluster status` for nodes that are down, then try again")
        }
        ClientError::Address { .. }
        | ClientError::Call(_)
        | ClientError::Closed
        | ClientError::HadEnded { .. }
        | ClientError::NoAddress
        | ClientError::NoTls
        | ClientError::Refused { .. }
        | ClientError::Request(_)
        | ClientError::Tls(_)
        | ClientError::Unexpected { .. }
        | ClientError::WrongState { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use umbel_protocol::wire::RequestError;

    use super::*;
    use crate::client::Tried;

    #[test]
    fn what_why_and_next() {
        let tried = Tried {
            address: "127.0.0.1:7400".into(),
            why: "nobody answers at 127.0.0.1:7400".into(),
            is_silent: true,
        };
        let refusing = Tried { is_silent: false, ..tried.clone() };
        let refused = told(&ClientError::NoNode { tried: vec![tried.clone(), refusing] }.into());
        assert!(!refused.contains("next:"), "{refused}");
        let error = Err::<(), _>(ClientError::NoNode { tried: vec![tried] })
            .context("cannot submit \"add\"")
            .unwrap_err();
        let told = told(&error);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "error: cannot submit \"add\"");
        assert_eq!(lines[1], "  why: no node can be reached: nobody answers at 127.0.0.1:7400");
        assert!(lines[2].starts_with("  next: start a node with `umbel node`"), "{told}");
    }

    #[test]
    fn nothing_is_said_twice() {
        let why = "error: `25` is no hour\n --> cluster.toml:2:11".to_owned();
        let error = ClientError::Request(RequestError::Reload { why: why.clone() }).into();
        assert_eq!(told(&error), why, "a report of a node");
        let error = anyhow::anyhow!("it broke").context("cannot go on: it broke");
        assert_eq!(told(&error), "error: cannot go on: it broke");
    }
}
