//! Crontabs on the command line: what becomes of them, and what is told of it.

use std::fs;

use serde_json::Value;

use crate::cluster::pipe;
use crate::program::{Program, Ran};

const IMPORT: [&str; 5] = ["job", "import", "-", "--timezone", "Europe/Berlin"];

#[test]
fn a_crontab_is_carried_over() {
    let program = Program::new();
    let crontab = "PATH=/usr/bin:/bin\n# nightly\n30 2 * * * /opt/backup --all\n";
    let ran = pipe(&program, &IMPORT, crontab);
    assert!(ran.ok, "{ran:?}");
    assert!(ran.err.contains("not carried over: on which host they run"), "{ran:?}");
    assert!(ran.err.contains("not carried over: as whom and where they run"), "{ran:?}");
    assert!(ran.err.ends_with("\n1 job carried over\n"), "{ran:?}");
    let table: toml::Table = ran.out.parse().unwrap();
    let job = &table["jobs"]["backup"];
    assert_eq!(job["cron"].as_str(), Some("30 2 * * *"));
    assert_eq!(job["run"].as_str(), Some("exec </dev/null; /opt/backup --all"));
    assert!(ran.out.contains("# nightly\n"), "{ran:?}");
    let place = [&IMPORT[..], &["--select", "role=db", "--on", "each"]].concat();
    let ran = pipe(&program, &place, crontab);
    assert!(ran.ok && !ran.err.contains("on which host"), "{ran:?}");
    assert!(ran.out.contains("\nselect = { role = \"db\" }\non = \"each\"\n"), "{ran:?}");

    let file = program.path("cluster.toml");
    fs::write(&file, format!("[cluster]\nname = \"farm\"\n{}", ran.out)).unwrap();
    let ran = program.run(&["config", "check", &file]);
    assert!(ran.ok && ran.out.ends_with("0 tasks, 1 job\n"), "{ran:?}");
}

#[test]
fn crontabs_of_several_hosts_stand_in_one_file() {
    let program = Program::new();
    let mut text = "[cluster]\nname = \"farm\"\n".to_owned();
    for host in ["web-1", "web-2.example.org"] {
        let import = [&IMPORT[..], &["--prefix", host, "--json"]].concat();
        let ran = pipe(&program, &import, "@daily backup\n");
        assert_eq!(ran.json()[0]["name"], format!("{host}-backup"));
        let ran = pipe(&program, &import[..import.len() - 1], "@daily backup\n");
        text.push_str(&ran.out);
    }
    let file = program.path("cluster.toml");
    fs::write(&file, text).unwrap();
    let ran = program.run(&["config", "check", &file]);
    assert!(ran.ok && ran.out.ends_with("0 tasks, 2 jobs\n"), "{ran:?}");
    let ran = program.run(&["job", "import", "-", "--prefix", "a b"]);
    assert!(!ran.ok && ran.err.contains("no job can be called \"a b\""), "{ran:?}");
}

#[test]
fn what_is_not_carried_over_is_told_and_the_rest_is_written() {
    let program = Program::new();
    let file = program.path("crontab");
    fs::write(&file, "@daily root backup\n@reboot root start\n").unwrap();
    let output = program.path("jobs.toml");
    let import = ["job", "import", "--system", &file, "--timezone", "UTC", "-o", &output];
    let ran = program.run(&import);
    assert!(ran.code == Some(1) && ran.out.is_empty(), "{ran:?}");
    assert!(ran.err.contains("not carried over: line 2: @reboot root start\n  why: "), "{ran:?}");
    assert!(ran.err.contains("not carried over: that user root runs it (line 1)"), "{ran:?}");
    assert!(ran.err.ends_with("1 job carried over\n"), "{ran:?}");
    assert!(fs::read_to_string(&output).unwrap().contains("[jobs.backup]"));
    let ran = program.run(&import);
    assert!(!ran.ok && ran.err.contains("  why: File exists"), "{ran:?}");
    let ran = program.run(&["job", "import", &program.path("none")]);
    assert!(!ran.ok && ran.err.contains("  why: No such file"), "{ran:?}");

    // As JSON the same, entry by entry; what is written and the exit code stay.
    let again = program.path("again.toml");
    let import = ["job", "import", "--system", &file, "--timezone", "UTC", "--json", "-o", &again];
    let ran = program.run(&import);
    assert!(ran.code == Some(1) && ran.err.ends_with("1 job carried over\n"), "{ran:?}");
    let [backup, start] = &ran.json()[..] else { panic!("{ran:?}") };
    assert!(backup["lost"].as_str().unwrap().starts_with("that user root runs it"), "{backup}");
    assert_eq!((&start["line"], &start["name"]), (&2.into(), &Value::Null));
    assert!(start["lost"].is_string(), "{start}");
    assert_eq!(fs::read(&again).unwrap(), fs::read(&output).unwrap());
}

#[test]
fn entries_are_told_as_json() {
    let program = Program::new();
    let as_toml = pipe(&program, &IMPORT, "@daily a\nA=b\n");
    let ran = pipe(&program, &[&IMPORT[..], &["--json"]].concat(), "@daily a\nA=b\n");
    assert_eq!((ran.code, &ran.err), (Some(0), &as_toml.err));
    let [job] = &ran.json()[..] else { panic!("{ran:?}") };
    assert_eq!(
        (&job["line"], &job["name"], &job["cron"]),
        (&1.into(), &"a".into(), &"@daily".into())
    );
    assert_eq!((&job["lost"], job.get("env")), (&Value::Null, None));
}

#[test]
fn clocks_are_those_that_are_said() {
    let program = Program::new();
    let file = program.path("crontab");
    fs::write(&file, "@daily backup\n").unwrap();
    let import = |zone: &str| {
        let mut import = program.command(&["job", "import", &file]);
        Ran::from(import.env("TZ", zone).output().unwrap())
    };
    let ran = import("Asia/Tokyo");
    assert!(ran.ok && ran.out.contains("timezone = \"Asia/Tokyo\"\n"), "{ran:?}");
    assert!(ran.err.contains("by the clocks of Asia/Tokyo, as TZ says"), "{ran:?}");
    assert!(!import("nowhere").err.contains("as TZ says"));

    // Of entries that say so themselves nothing else is said.
    fs::write(&file, "CRON_TZ=Europe/Berlin\n@daily backup\n@hourly poll\n").unwrap();
    let ran = import("Asia/Tokyo");
    assert!(ran.ok && !ran.err.contains("by the clocks of"), "{ran:?}");
    assert!(!ran.out.contains("Asia/Tokyo"), "{ran:?}");
    fs::write(&file, "@daily a\nCRON_TZ=Europe/Berlin\n@daily b\nCRON_TZ=\n@daily c\n").unwrap();
    let ran = import("Asia/Tokyo");
    let told =
        "note: times that stand below no CRON_TZ (line 1, 5) are read by the clocks of Asia/Tokyo";
    assert!(ran.ok && ran.err.contains(told), "{ran:?}");
    assert_eq!(ran.out.matches("timezone = \"Asia/Tokyo\"").count(), 2, "{ran:?}");
}

#[test]
fn a_crontab_with_users_is_not_mistaken_for_one_without() {
    let program = Program::new();
    let output = program.path("jobs.toml");
    let ran = program.run(&["job", "import", "/etc/crontab", "-o", &output]);
    assert!(!ran.ok && ran.err.contains("say --system"), "{ran:?}");
    let import = [&IMPORT[..], &["-o", &output]].concat();
    let ran = pipe(&program, &import, "17 * * * *\troot\ttest -x /bin/a || /bin/b\n");
    assert!(!ran.ok && ran.err.contains("begins with a user"), "{ran:?}");
    let import = [&import[..], &["--system"]].concat();
    let ran = pipe(&program, &import, "17 * * * * /bin/a b\n");
    assert!(!ran.ok && ran.err.contains("leave out --system"), "{ran:?}");
    assert!(!fs::exists(&output).unwrap(), "nothing is written");
}
