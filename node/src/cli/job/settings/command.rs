//! `--run`, which is none of the options: whoever types it is told where a command line stands.

use std::convert::Infallible;
use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, Error};

/// Where a file has a command, people look for one here.
#[derive(Debug, Default, Args)]
pub(super) struct NoCommand {
    /// Never there: whatever is said is refused.
    #[arg(id = "run", long, alias = "command", hide = true, num_args = 0..,
        default_missing_value = "", allow_hyphen_values = true, value_parser = Refuse)]
    _run: Option<Infallible>,
}

/// Takes no value at all.
#[derive(Clone)]
struct Refuse;

impl TypedValueParser for Refuse {
    type Value = Infallible;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        _: &OsStr,
    ) -> Result<Infallible, Error> {
        Err(Error::raw(ErrorKind::UnknownArgument, IN_FILE_ONLY).with_cmd(command))
    }
}

const IN_FILE_ONLY: &str = "nodes run only commands that stand in cluster.toml\n\n  \
    a command for this job alone:   [jobs.NAME] with run = [\"PROGRAM\", \"ARGUMENT\"]\n  \
    one that --task TASK can name:  [tasks.TASK] with command = [\"PROGRAM\", \"ARGUMENT\"]\n\n\
    Then have all nodes read the file: umbel config reload\n";
