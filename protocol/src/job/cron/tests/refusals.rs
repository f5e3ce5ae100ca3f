//! Every refusal: what is pointed at, and what is said of it.

use super::*;

/// Where in the text carets stand, one line below the other, and what the refusal says.
type Case<'a> = (&'a str, &'a str, &'a str);

fn check(cases: &[Case<'_>]) {
    for (text, carets, why) in cases {
        let error = Cron::parse(text).map(|_| ()).expect_err(text);
        let Range { start, end } = error.place.clone();
        let pointed = format!("{}{}", " ".repeat(start), "^".repeat(end - start));
        assert_eq!(pointed, *carets, "{text}: {error}");
        assert_eq!(error.to_string(), *why, "{text}");
    }
}

const FORM: &str = "write minute, hour, day of month, month and day of week, as in `30 2 * * MON`; \
                    a sixth field in front is the second";

#[test]
fn the_number_of_fields() {
    for (text, place, why) in [
        ("", 0..0, "there is nothing here: "),
        ("  ", 0..2, "there is nothing here: "),
        ("5", 0..1, "there is only one field: "),
        (" 5 * ", 1..4, "there are only 2 fields: "),
        ("0 0 * *", 0..7, "there are only 4 fields: "),
        ("0 0 0 1 1 * 2025 x", 12..18, "there are 8 fields: "),
    ] {
        let error = Cron::parse(text).map(|_| ()).expect_err(text);
        assert_eq!(error, InvalidCron { place, why: format!("{why}{FORM}") }, "{text}");
    }
    check(&[(
        "0 0 0 1 1 * 2025",
        "            ^^^^",
        "there is no field for the year, and this is the seventh: leave it out",
    )]);
}

#[test]
fn a_line_of_a_crontab() {
    let why = |file: &str| {
        format!("`{file}` is no field: leave out the command, an expression says only when")
    };
    check(&[
        ("30 2 * * * /bin/backup", "           ^^^^^^^^^^^", &why("/bin/backup")),
        ("0 30 2 * * * ./backup -a  b ", "             ^^^^^^^^^^^^^^", &why("./backup")),
        ("30 2 * * * root ~/b c d e", "                ^^^^^^^^^", &why("~/b")),
        ("30 2 * * * $HOME/b", "           ^^^^^^^", &why("$HOME/b")),
        ("0 0 0 * * /2", "          ^^", "a step needs a range: write `*/2`"),
    ]);
}

#[test]
fn nicknames() {
    let names = "there are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly";
    check(&[
        (
            " @Reboot",
            " ^^^^^^^",
            "a cluster is not booted at one time: submit a task where your service starts, or have \
             your service manager run a command at boot",
        ),
        ("@dayly", "^^^^^^", &format!("`@dayly` is not known: {names}")),
        ("@daily 5 ", "       ^", "`@daily` stands alone: leave out what comes after it"),
        ("0 @daily * * *", "  ^^^^^^", "`@daily` is not an hour: write 0 to 23"),
    ]);
}

#[test]
fn values() {
    check(&[
        ("60 * * * *", "^^", "`60` is not a minute: write 0 to 59"),
        ("0 24 * * *", "  ^^", "`24` is not an hour: write 0 to 23"),
        ("60 0 0 * * *", "^^", "`60` is not a second: write 0 to 59"),
        ("0 0 0 * *", "    ^", "`0` is not a day of month: write 1 to 31, or L for the last"),
        (
            "0 0 1,32 * *",
            "      ^^",
            "`32` is not a day of month: write 1 to 31, or L for the last",
        ),
        ("0 0 1 13 *", "      ^^", "`13` is not a month: write 1 to 12 or JAN to DEC"),
        (
            "0 0 1 JANUARY *",
            "      ^^^^^^^",
            "`JANUARY` is not a month: write 1 to 12 or JAN to DEC",
        ),
        ("0 0 1 MON *", "      ^^^", "`MON` is not a month: write 1 to 12 or JAN to DEC"),
        ("0 0 * * 8", "        ^", "`8` is not a day of week: write 0 to 7 or SUN to SAT"),
        ("0 0 * * JAN", "        ^^^", "`JAN` is not a day of week: write 0 to 7 or SUN to SAT"),
        (
            "0 0 * * MON,TUES",
            "            ^^^^",
            "`TUES` is not a day of week: write 0 to 7 or SUN to SAT",
        ),
        ("0 0 * * +1", "        ^^", "`+1` is not a day of week: write 0 to 7 or SUN to SAT"),
        ("+5 0 * * *", "^^", "`+5` is not a minute: write 0 to 59"),
        ("99999999999 * * * *", "^^^^^^^^^^^", "`99999999999` is not a minute: write 0 to 59"),
        ("0 H * * *", "  ^", "`H` is not an hour: write 0 to 23"),
        ("0 0-24 * * *", "    ^^", "`24` is not an hour: write 0 to 23"),
        ("0 1-2-3 * * *", "    ^^^", "`2-3` is not an hour: write 0 to 23"),
        ("0 ü * * *", "  ^^", "`ü` is not an hour: write 0 to 23"),
        ("0 \u{1b}[31m * * *", "  ^^^^^", "`\\u{1b}[31m` is not an hour: write 0 to 23"),
        ("0 ? * * *", "  ^", "`?` is for the day of month and the day of week only: write `*`"),
        ("0 0 1,* * *", "      ^", "`*` means all there are: let it stand alone"),
        ("0 0 ?,1 * *", "    ^", "`?` means all there are: let it stand alone"),
    ]);
}

#[test]
fn lists_ranges_and_steps() {
    check(&[
        (
            "0 1,,2 * * *",
            "   ^",
            "an hour is missing at this comma: add it, or take the comma away",
        ),
        ("0 ,1 * * *", "  ^", "an hour is missing at this comma: add it, or take the comma away"),
        (
            "0 0 * * MON,",
            "           ^",
            "a day of week is missing at this comma: add it, or take the comma away",
        ),
        (", * * * *", "^", "a minute is missing at this comma: add it, or take the comma away"),
        (
            "0 5- * * *",
            "  ^^",
            "a range needs both of its ends, as in `1-5`; nothing here is less than 0",
        ),
        (
            "-5 0 * * *",
            "^^",
            "a range needs both of its ends, as in `1-5`; nothing here is less than 0",
        ),
        ("0 22-6 * * *", "  ^^^^", "`22-6` goes backwards: write `22-23,0-6`"),
        ("0 8,22-6/2 * * *", "    ^^^^", "`22-6` goes backwards: write `22-23,0-6`"),
        ("0 0 1 NOV-FEB *", "      ^^^^^^^", "`NOV-FEB` goes backwards: write `NOV-DEC,JAN-FEB`"),
        ("0 0 1 11-feb *", "      ^^^^^^", "`11-feb` goes backwards: write `11-12,1-feb`"),
        ("0 0 * * FRI-MON", "        ^^^^^^^", "`FRI-MON` goes backwards: write `FRI-SAT,SUN-MON`"),
        ("0 0 * * 5-1", "        ^^^", "`5-1` goes backwards: write `5-6,0-1`"),
        ("*/0 * * * *", "  ^", "a step of 0 does not move: write 1 or more"),
        ("*/00 * * * *", "  ^^", "a step of 0 does not move: write 1 or more"),
        (
            "*/90 * * * *",
            "  ^^",
            "`90` is more than there is: steps begin anew with each hour, so write 60 at most",
        ),
        (
            "0 0 1-5/40 * *",
            "        ^^",
            "`40` is more than there is: steps begin anew with each month, so write 31 at most",
        ),
        ("*/ * * * *", "^^", "a step is a number: write it after the `/`, as in `*/5`"),
        ("*/x * * * *", "  ^", "a step is a number: write it after the `/`, as in `*/5`"),
        ("*/5/5 * * * *", "  ^^^", "a step is a number: write it after the `/`, as in `*/5`"),
        ("/5 * * * *", "^^", "a step needs a range: write `*/5`"),
        ("10/5 * * * *", "^^^^", "a step needs a range: write `10-59/5`"),
        ("0 0 1 APR/2 *", "      ^^^^^", "a step needs a range: write `4-12/2`"),
        ("0 0 ?/2 * *", "    ^", "`?` is not a day of month: write 1 to 31, or L for the last"),
    ]);
}

#[test]
fn special_days() {
    let last = "`L` needs a day of week before it: write `FRIL` or `5L` for the last Friday";
    let nth = "after `#` write 1 to 5, for the first to the fifth in the month; the last is `L`, as \
               in `FRIL`";
    let day = "write 1 to 31, or L for the last";
    let weekday = "write 0 to 7 or SUN to SAT";
    check(&[
        ("0 L * * *", "  ^", "`L` is not an hour: write 0 to 23"),
        (
            "0 0 L-3 * *",
            "    ^^^",
            "days cannot be counted back from the last one: write `L` or a number",
        ),
        ("0 0 5L * *", "    ^^", &format!("`5L` is not a day of month: {day}")),
        ("0 0 32W * *", "    ^^", &format!("`32` is not a day of month: {day}")),
        ("0 0 1-5W * *", "    ^^^", &format!("`1-5` is not a day of month: {day}")),
        (
            "0 0 W * *",
            "    ^",
            "`W` needs a day before it: write `15W` for the weekday nearest to the 15th, or `LW` for \
             the last",
        ),
        (
            "0 0 LW,L * *",
            "    ^^",
            "`L` and `LW` cannot stand in one list: make it two expressions",
        ),
        ("0 0 MON#2 * *", "    ^^^^^", &format!("`MON#2` is not a day of month: {day}")),
        ("0 0 * * L", "        ^", last),
        ("0 0 * * MON,l", "            ^", last),
        ("0 0 * * 15W", "        ^^^", &format!("`15W` is not a day of week: {weekday}")),
        ("0 0 * * MON#6", "            ^", nth),
        ("0 0 * * MON#0", "            ^", nth),
        ("0 0 * * MON#", "        ^^^^", nth),
        ("0 0 * * MON#L", "            ^", nth),
        ("0 0 * * 8#1", "        ^", &format!("`8` is not a day of week: {weekday}")),
        ("0 0 * * 9L", "        ^", &format!("`9` is not a day of week: {weekday}")),
        (
            "0 0 * * MON-FRI#2",
            "        ^^^^^^^",
            &format!("`MON-FRI` is not a day of week: {weekday}"),
        ),
    ]);
}

#[test]
fn dates_that_never_come() {
    check(&[
        (
            "0 0 30 2 *",
            "    ^^",
            "no day ever matches: the longest month of `2` has 29 days; write `L` for the last day \
             of a month",
        ),
        (
            "0 0 31 4,JUN ?",
            "    ^^",
            "no day ever matches: the longest month of `4,JUN` has 30 days; write `L` for the last \
             day of a month",
        ),
        (
            "0 0 0 30W,31 FEB *",
            "      ^^^^^^",
            "no day ever matches: the longest month of `FEB` has 29 days; write `L` for the last day \
             of a month",
        ),
    ]);
}

#[test]
fn what_is_too_long() {
    let text = format!("0 0 * * 1{}", ",1".repeat(200));
    let error = Cron::parse(&text).map(|_| ()).expect_err("too long");
    assert_eq!(error.place, 256..text.len());
    assert_eq!(error.why, "an expression has at most 256 bytes");
    // Both ends are between characters, whatever the text is.
    let text = format!(" {}", "ä".repeat(200));
    let error = Cron::parse(&text).map(|_| ()).expect_err("too long");
    assert!(text.get(error.place).is_some());
    let text = format!("0 0 * * 1{}", " ".repeat(247));
    assert!(Cron::parse(&text).is_ok());
}
