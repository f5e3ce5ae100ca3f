//! What becomes of ticks that are late or come while a run goes on, as said on the command line.

use anyhow::bail;
use clap::{Args, ValueEnum};
use umbel_protocol::job::{Job, MISFIRES_DEFAULT, Misfire, Overlap};
use umbel_protocol::time::Span;

use super::{set, set_some};
use crate::cli::time::{parse_some_span, parse_span};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What if")]
pub(super) struct WhatIf {
    /// Of ticks that are noticed too late fire none, the last one, or all [default: once]
    #[arg(long, value_name = "RULE")]
    misfire: Option<MisfireWord>,
    /// With --misfire all, the last so many of them [default: 10]
    #[arg(long, value_name = "N")]
    misfire_max: Option<u16>,
    /// How late is not too late [default: 1m]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    misfire_grace: Option<Span>,
    /// While an earlier run goes on run beside it, skip the tick, or replace it [default: allow]
    #[arg(long, value_name = "RULE")]
    overlap: Option<OverlapWord>,
    /// A tick that has not ended well so long after it was fired is told as missed
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    report_within: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MisfireWord {
    Skip,
    Once,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OverlapWord {
    Allow,
    Forbid,
    Replace,
}

impl WhatIf {
    pub(super) fn apply(&self, job: &mut Job) -> anyhow::Result<()> {
        self.apply_misfire(&mut job.misfire)?;
        set(&mut job.misfire_grace, self.misfire_grace);
        set(&mut job.overlap, self.overlap.map(OverlapWord::meaning));
        set_some(&mut job.report_within, self.report_within);
        Ok(())
    }

    fn apply_misfire(&self, misfire: &mut Misfire) -> anyhow::Result<()> {
        match (self.misfire, &misfire) {
            (Some(MisfireWord::Skip), _) => *misfire = Misfire::Skip,
            (Some(MisfireWord::Once), _) => *misfire = Misfire::Once,
            // How many is kept if it was said before.
            (Some(MisfireWord::All), Misfire::All { .. }) | (None, _) => {}
            (Some(MisfireWord::All), _) => *misfire = Misfire::All { most: MISFIRES_DEFAULT },
        }
        match (self.misfire_max, misfire) {
            (Some(max), Misfire::All { most }) => *most = max,
            (Some(_), _) => bail!("--misfire-max goes with --misfire all only"),
            (None, _) => {}
        }
        Ok(())
    }
}

impl OverlapWord {
    const fn meaning(self) -> Overlap {
        match self {
            Self::Allow => Overlap::Allow,
            Self::Forbid => Overlap::Forbid,
            Self::Replace => Overlap::Replace,
        }
    }
}
