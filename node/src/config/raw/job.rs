//! A job as it stands in the file.

use toml::Spanned;

use super::super::keys::ALERT;
use super::super::reader::Reader;
use super::{Present, RawOptions, RawProgram, Text};

#[derive(Debug, Default)]
pub(in super::super) struct RawJob {
    pub(in super::super) present: Present,
    pub(in super::super) cron: Option<Text>,
    pub(in super::super) every: Option<Text>,
    pub(in super::super) at: Option<Text>,
    pub(in super::super) timezone: Option<Text>,
    pub(in super::super) task: Option<Text>,
    pub(in super::super) run: RawProgram,
    /// JSON.
    pub(in super::super) args: Option<Text>,
    pub(in super::super) options: RawOptions,
    pub(in super::super) expires: Option<Text>,
    pub(in super::super) on: Option<Text>,
    pub(in super::super) select: Vec<(Text, Text)>,
    pub(in super::super) misfire: Option<Text>,
    pub(in super::super) misfire_max: Option<Spanned<i64>>,
    pub(in super::super) misfire_grace: Option<Text>,
    pub(in super::super) overlap: Option<Text>,
    pub(in super::super) jitter: Option<Text>,
    pub(in super::super) start: Option<Text>,
    pub(in super::super) end: Option<Text>,
    pub(in super::super) enabled: Option<Spanned<bool>>,
    pub(in super::super) max_runs: Option<Spanned<i64>>,
    pub(in super::super) report_within: Option<Text>,
    pub(in super::super) alert: Option<RawAlert>,
    pub(in super::super) labels: Vec<(Text, Text)>,
    pub(in super::super) headers: Vec<(Text, Text)>,
    pub(in super::super) display_name: Option<Text>,
}

#[derive(Debug, Default)]
pub(in super::super) struct RawAlert {
    pub(in super::super) present: Present,
    pub(in super::super) task: Option<Text>,
    pub(in super::super) on: Option<Spanned<Vec<Text>>>,
    pub(in super::super) options: RawOptions,
}

impl RawJob {
    pub(super) fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            present: Present::read(&reader),
            cron: reader.text("cron"),
            every: reader.text("every"),
            at: reader.time("at"),
            timezone: reader.text("timezone"),
            task: reader.text("task"),
            run: RawProgram::read("run", &mut reader),
            args: reader.json("args"),
            options: RawOptions::read_all(&mut reader),
            expires: reader.text("expires"),
            on: reader.text("on"),
            select: reader.named_texts("select"),
            misfire: reader.text("misfire"),
            misfire_max: reader.integer("misfire_max"),
            misfire_grace: reader.text("misfire_grace"),
            overlap: reader.text("overlap"),
            jitter: reader.text("jitter"),
            start: reader.time("start"),
            end: reader.time("end"),
            enabled: reader.boolean("enabled"),
            max_runs: reader.integer("max_runs"),
            report_within: reader.text("report_within"),
            alert: RawAlert::read_in(&mut reader),
            labels: reader.named_texts("labels"),
            headers: reader.named_texts("headers"),
            display_name: reader.text("display_name"),
        }
    }
}

impl RawAlert {
    /// Most alerts are one task and nothing else: its name is enough then.
    fn read_in(job: &mut Reader<'_, '_, '_>) -> Option<Self> {
        if job.is_text("alert") {
            return Some(Self { task: job.text("alert"), ..Self::default() });
        }
        if job.is_table("alert") {
            return job.table("alert", ALERT.keys, Self::read);
        }
        job.refuse("alert", "a table or the name of a task");
        None
    }

    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            present: Present::read(&reader),
            task: reader.text("task"),
            on: reader.texts("on"),
            options: RawOptions::read(&mut reader),
        }
    }
}
