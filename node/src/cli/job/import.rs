//! `umbel job import`: what a crontab says, as `[jobs]` for `cluster.toml`.
//!
//! The result goes to stdout or into a file; what could not be carried over, or only in another form,
//! is told on stderr. Entries that are left out stand in the result as comments. With `--json` stdout
//! has what became of each entry, and all else stays.

mod convert;
mod crontab;
mod json;
mod name;
mod percent;
mod schedule;
mod user;
mod wrap;
mod write;
mod zone;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use umbel_protocol::job::Labels;

use self::convert::{Import, convert};
use self::crontab::Line;
use self::name::{NamesGiven, Prefix};
use self::write::Where;
use super::moment::Place;
use super::settings::OnWord;
use super::{Done, out};
use crate::cli::time::count_of;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crontab -l | umbel job import -
  umbel job import --system /etc/crontab --prefix web-1 --select host=web-1 -o web-1.toml

What comes out does what cron does: a command that fails is not tried again (attempts = 1), and one
that was missed is not run later (misfire = \"skip\"). Put it below the rest of cluster.toml, on every
host, and run `umbel config reload`. It fails if something could not be carried over, which is said.")]
pub(in crate::cli) struct ImportArgs {
    /// The crontab; - is stdin
    #[arg(value_name = "CRONTAB")]
    file: PathBuf,
    /// It has a column with the user, as /etc/crontab has
    #[arg(long)]
    system: bool,
    /// Begin the names of its jobs with it, so that crontabs of several hosts can stand in one
    /// file: web-1 gives web-1-backup
    #[arg(long, value_name = "TEXT")]
    prefix: Option<Prefix>,
    /// By whose clocks it is read where it does not say so itself [default: TZ, or this host's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Only nodes with these labels run its jobs [default: any node]
    #[arg(long, value_name = "KEY=VALUE,...")]
    select: Option<Labels>,
    /// How many of them run each tick [default: one]
    #[arg(long, value_name = "NODES")]
    on: Option<OnWord>,
    /// Write it to a file, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one line of JSON for each entry instead of what is for cluster.toml
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ImportArgs) -> anyhow::Result<Done> {
    let ImportArgs { file, system, prefix, timezone, select, on, output, json } = args;
    if !system && is_system(file) {
        bail!("{} has a column with the user: say --system", file.display());
    }
    let text = read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = crontab::read(&text, *system);
    if let Some(instead) = user::mistaken(&lines, *system) {
        bail!("{}: {instead}", file.display());
    }
    let names = NamesGiven::new(prefix.clone().unwrap_or_default());
    let import = match timezone {
        Some(name) => convert(&lines, &Place::named(name)?.name, names),
        None => convert_here(&lines, names)?,
    };
    let place = Where {
        select: select.clone().unwrap_or_default(),
        on: on.map(OnWord::meaning).unwrap_or_default(),
    };
    let toml = write::toml(&import, &place);
    if let Some(path) = output {
        File::create_new(path)
            .and_then(|mut file| file.write_all(toml.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if *json {
        let mut results = out::Results::new();
        for entry in json::entries(&import, &place) {
            results.json(&entry)?;
        }
        results.flush()?;
    } else if output.is_none() {
        out::line(toml.trim_end())?;
    }
    Ok(tell(&import, &place))
}

fn tell(import: &Import, place: &Where) -> Done {
    let entries = import.jobs().count();
    for note in &import.notes {
        out::note(format!("note: {note}"));
    }
    for lost in &import.lost {
        out::note(format!("not carried over: {lost}"));
    }
    // That is so of each crontab, and no reason to fail.
    if entries > 0 {
        if place.select.is_empty() {
            out::note(
                "not carried over: on which host they run: any node may; say --select KEY=VALUE for \
                 those with labels",
            );
        }
        out::note(
            "not carried over: as whom and where they run: as the user of the node, in its directory \
             and with its environment, where nothing else is said",
        );
    }
    out::note(format!("{} carried over", count_of(entries as u64, "job")));
    if import.lost.is_empty() { Done::Well } else { Done::Badly }
}

/// Makes jobs of a crontab by the clocks of this host, which is told of those for which it matters.
fn convert_here(lines: &[Line<'_>], names: NamesGiven) -> anyhow::Result<Import> {
    let here = place_here();
    let place = here.as_ref().map_or_else(Place::utc, |(place, _)| place.clone());
    let import = convert(lines, &place.name, names);
    if import.zone_unsaid.is_empty() {
        return Ok(import);
    }
    let Some((place, why)) = here else {
        bail!(
            "this host does not say by whose clocks it goes: say --timezone ZONE, such as \
             Europe/Berlin"
        )
    };
    let times = if import.zone_unsaid.len() == import.jobs().count() {
        "times".to_owned()
    } else {
        let unsaid: Vec<_> = import.zone_unsaid.iter().map(usize::to_string).collect();
        format!("times that stand below no CRON_TZ (line {})", unsaid.join(", "))
    };
    out::note(format!(
        "note: {times} are read by the clocks of {}, {why}; say --timezone ZONE if the crontab means \
         others",
        place.name
    ));
    Ok(import)
}

/// By whose clocks a crontab is read that does not say so, and why.
fn place_here() -> Option<(Place, String)> {
    // A cron may know nothing of the variable, so whoever has another clock there is told both.
    match (zone::of_variable(), zone::of_host()) {
        (Some(place), Some(host)) if place.name != host.name => {
            Some((place, format!("as TZ says, where this host has those of {}", host.name)))
        }
        (Some(place), None) => Some((place, "as TZ says".to_owned())),
        (_, Some(host)) => Some((host, "as on this host".to_owned())),
        (None, None) => None,
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path)?),
    };
    input.take(CRONTAB_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CRONTAB_BYTES_MAX {
        bail!("it is longer than {CRONTAB_BYTES_MAX} bytes, as no crontab is");
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = line.filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("line {line} is not UTF-8 text; convert it, for example with iconv")
    })
}

/// Whether it is one of the files that have a column for the user.
fn is_system(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path == Path::new("/etc/crontab") || path.parent() == Some(Path::new("/etc/cron.d"))
}

/// Crontabs are typed by hand.
const CRONTAB_BYTES_MAX: u64 = 4 * 1024 * 1024;
