#!/usr/bin/env python3
"""Compares when umbel's cron expressions tick with croniter, and both with the rule.

    cargo build -p umbel-protocol --example ticks
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install croniter==7.0.0 tzdata==2026.6
    /tmp/peers/bin/python tests/peers/cron.py target/debug/examples/ticks

It needs Python 3.11, croniter and tzdata, no network, and some minutes on two cores. It prints each
cause of differences with how often it came up and one example, and fails if umbel is not what the
rule says, or if a difference has none of the causes that are known.

Three answers are compared. umbel's come from `protocol/examples/ticks.rs`, croniter's from
`get_next`, and those of the rule from `Rule` below: the documentation of
`protocol/src/job/cron.rs` put into Python, without the search that umbel does. Where umbel and
croniter differ, the rule says who is right; why croniter differs is told from what the expression
and the clocks have there (`cause`).
"""

import bisect
import calendar
import re
import signal
import sys
import zoneinfo
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime, timezone
from subprocess import run

import croniter as peer

# From the package that was named, not from the machine.
zoneinfo.reset_tzpath(to=[])

# Seconds of work for one answer of croniter.
PATIENCE = 20
# Later ticks are not compared: 2100 is no leap year, and after that it is all the same again.
UNTIL = int(datetime(2130, 1, 1, tzinfo=timezone.utc).timestamp())

# Each with a year in which its clocks were changed, if they are at all.
ZONES = {
    "Europe/Berlin": 2025,
    "America/New_York": 2025,
    # By half an hour.
    "Australia/Lord_Howe": 2025,
    # Never.
    "Asia/Kolkata": 2025,
    # At midnight: the day begins at one o'clock.
    "America/Sao_Paulo": 2018,
    # At midnight, and on top of it the 30th of December was skipped.
    "Pacific/Apia": 2011,
}

EXPRESSIONS = [
    # Times of the day, among them those that are skipped or come twice somewhere.
    "0 0 * * *", "30 0 * * *", "30 1 * * *", "0 2 * * *", "15 2 * * *", "30 2 * * *", "0 3 * * *",
    "30 3 * * *", "59 23 * * *", "0 12 * * *", "0,20,40 2 * * *", "0 2,3 * * *", "5 1,2,3 * * *",
    "30 23,0,1,2,3 * * *", "45 1,13 * * *", "10,50 0,2 * * *", "059 0023 * * *",
    # Rhythms.
    "* * * * *", "*/2 * * * *", "*/5 * * * *", "*/7 * * * *", "*/15 * * * *", "*/30 * * * *",
    "*/40 * * * *", "0 * * * *", "30 * * * *", "7,37 * * * *", "0 */2 * * *", "0 */3 * * *",
    "0 */4 * * *", "30 */6 * * *", "15 1-23/2 * * *", "10-40/15 * * * *", "5-7 * * * *",
    # Rhythms of some hours only.
    "*/30 2 * * *", "*/15 1-3 * * *", "*/20 0-4/2 * * *", "0 9-17 * * *", "0 1-3 * * *",
    "30 0-3 * * *", "*/10 0,1,2 * * *", "0 22,1,*/12 * * *", "* 2 * * *", "0-29 3 * * *",
    # Days, months and their names.
    "0 0 1 * *", "0 6 15 * *", "30 2 31 * *", "0 12 1,15 * *", "0 0 29 2 *", "0 12 28-31 2 *",
    "0 0 30 * *", "0 5 */5 * *", "0 5 1-31/2 * *", "0 5 2-30/7 4-9 *", "0 0 1 JAN *",
    "0 0 1 jAn,JUL *", "0 12 1 */3 *", "0 0 1 */5 *", "0 0 1 OCT-DEC *", "0 4 10-20/5 MAR,oct *",
    # Days of the week.
    "0 8 * * 0", "0 8 * * 7", "30 2 * * SUN", "0 8 * * MON-FRI", "0 8 * * 1-5/2", "0 8 * * 6-7",
    "0 8 * * 5-7", "0 8 * * sat,SUN", "*/15 2 * * SUN", "0 12 ? * Mon", "0 8 * * */3",
    "0 8 * * 1-7/2", "0 8 * * FRI", "0 8 * * SUN-SUN", "0 8 * * SUN,SUN#2", "5-5 * * * *",
    # A day of the month or a day of the week.
    "0 0 13 * FRI", "30 2 1 * SUN", "0 12 1,15 * MON", "0 0 */10 * SAT", "0 0 30 2 MON",
    "0 12 1-31 * MON", "0 12 */1 * MON", "0 12 13 * 0-6", "0 12 13 * */1", "0 6 1-31 6 */2",
    "0 12 */2 * 0-6",
    "*/30 2 1-7 * SUN", "0 0 L * FRI",
    # Days that are counted from ends and weekdays.
    "0 1 L * *", "0 1 l 2 *", "0 1 10,L * *", "0 1 15W * *", "0 1 1W * *", "0 1 31W * *",
    "0 1 29W 2 *", "0 1 15W * FRI", "0 1 * * MON#1", "0 1 * * 2#5", "0 1 * * 7#2,wed#1",
    "30 2 * * SUN#2", "0 1 ? 2 THU#5", "0 0 L * MON#1", "0 1 * * 5L", "30 2 * * SUNL",
    "0 2 13 * 5L",
    # With seconds.
    "*/20 * * * * *", "*/30 59 1,2 * * *", "15 30 2 * * *", "0,30 0 */6 * * *", "58-59 59 23 * * *",
    "* * * * * *", "10 0 0 1 1 *",
    # Words.
    "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
]

# Taken by umbel alone, and compared with the rule only.
ONLY_UMBEL = [
    "0 1 LW * *", "0 1 15W,L * *", "0 0 1,1W * *", "0 1 * * MON#1,FRI", "0 1 * * FRI,5L",
    " @daily ",
]

# Taken by croniter alone; umbel says what to write instead.
ONLY_PEER = [
    "5/15 * * * *", "*/90 * * * *", "*,5 * * * *", "0 22-2 * * *", "0 1 * NOV-FEB *", "0 1 * * 5-1",
    "0 0 1-L * *", "0 0 W15 * *", "0 0 * * L5", "0 0 31 2 *", "0 0 0 * * * 2026",
]

# What croniter writes in another way.
WRITTEN = {"0 1 * * 5L": "0 1 * * L5", "30 2 * * SUNL": "30 2 * * L0", "0 2 13 * 5L": "0 2 13 * L5"}

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAYS = "SUN MON TUE WED THU FRI SAT".split()

# No clock is changed within one of these, and none is off by part of one.
BLOCK = 1800
DAY = 86400
EPOCH = date(1970, 1, 1).toordinal()


class Clock:
    """What the clocks of a zone show: seconds since 1970 by them, for unix seconds."""

    def __init__(self, name):
        self.zone = zoneinfo.ZoneInfo(name)
        days = range(0, UNTIL + DAY, DAY)
        offsets = [self.asked(at) for at in days]
        self.changes = []
        for at, before, after in zip(days, offsets, offsets[1:]):
            if before != after:
                blocks = range(at, at + DAY, BLOCK)
                start = next(b + BLOCK for b in blocks if self.asked(b + BLOCK) != before)
                self.changes.append((start, before, after))
        self.starts = [start for start, _, _ in self.changes]
        self.offsets = offsets[:1] + [after for _, _, after in self.changes]

    def asked(self, at):
        return int(datetime.fromtimestamp(at, self.zone).utcoffset().total_seconds())

    def offset(self, at):
        return self.offsets[bisect.bisect_right(self.starts, at)]

    def shows(self, at):
        return at + self.offset(at)

    def instants(self, local):
        """When they show `local`."""
        near = {self.offset(local + shift * DAY) for shift in range(-2, 3)}
        return sorted(local - offset for offset in near if self.offset(local - offset) == offset)

    def skip(self, local):
        """When `local` is skipped."""
        return next(at for at, before, after in self.changes if at + before <= local < at + after)


class Rule:
    """An expression by the documentation of umbel's."""

    def __init__(self, text):
        self.known = {}
        words = NICKNAMES.get(text.strip().lower(), text).upper().split()
        second, minute, hour, day, month, weekday = ["0"] * (6 - len(words)) + words
        self.is_fixed = all(c in "0123456789," for c in second + minute + hour)
        self.seconds = values(second, 0, 59)
        self.minutes = values(minute, 0, 59)
        self.hours = values(hour, 0, 23)
        self.months = values(month, 1, 12, MONTHS)
        self.any_day, self.any_weekday = day in ("*", "?"), weekday in ("*", "?")
        days, weekdays = day.split(","), weekday.split(",")
        self.days = values([part for part in days if not part.endswith(("L", "W"))], 1, 31)
        self.counted_days = [part for part in days if part.endswith(("L", "W"))]
        is_counted = lambda part: "#" in part or part.endswith("L")
        plain = [part for part in weekdays if not is_counted(part)]
        self.weekdays = {value % 7 for value in values(plain, 0, 6, WEEKDAYS)}
        self.counted_weekdays = [part for part in weekdays if is_counted(part)]

    def has_day(self, ordinal):
        if ordinal not in self.known:
            self.known[ordinal] = self.has_date(date.fromordinal(ordinal))
        return self.known[ordinal]

    def has_date(self, day):
        if day.month not in self.months:
            return False
        if self.any_day or self.any_weekday:
            return self.has_day_of_month(day) and self.has_weekday(day)
        return self.has_day_of_month(day) or self.has_weekday(day)

    def has_day_of_month(self, day):
        length = calendar.monthrange(day.year, day.month)[1]
        return day.day in self.days or any(
            day.day == (
                length if part == "L"
                else last_working_day(day) if part == "LW"
                else nearest_working_day(day, int(part[:-1]), length)
            )
            for part in self.counted_days
        )

    def has_weekday(self, day):
        length = calendar.monthrange(day.year, day.month)[1]
        for part in self.counted_weekdays:
            name, _, count = part.partition("#")
            wanted = min(values(name.removesuffix("L"), 0, 6, WEEKDAYS)) % 7
            is_counted = (day.day + 6) // 7 == int(count) if count else day.day + 7 > length
            if day.isoweekday() % 7 == wanted and is_counted:
                return True
        return day.isoweekday() % 7 in self.weekdays

    def ticks(self, clock, after, until):
        """All ticks after `after` up to `until`."""
        find = self.times if self.is_fixed else self.beats
        return {tick for tick in find(clock, after, until) if after < tick <= until}

    def times(self, clock, after, until):
        first, last = (clock.shows(at) // DAY for at in (after, until))
        for ordinal in range(EPOCH + first - 2, EPOCH + last + 3):
            if not self.has_day(ordinal):
                continue
            for hour in self.hours:
                for minute in self.minutes:
                    for second in self.seconds:
                        local = (ordinal - EPOCH) * DAY + hour * 3600 + minute * 60 + second
                        instants = clock.instants(local)
                        yield instants[0] if instants else clock.skip(local)

    def beats(self, clock, after, until):
        # The clock is looked at all the while, but for days on which nothing can be seen.
        block = after - after % BLOCK
        while block <= until:
            local = clock.shows(block)
            ordinal = EPOCH + local // DAY
            if not self.has_day(ordinal):
                # Clocks may be put ahead by a day, so look two ahead for going on by one.
                is_far = not self.has_day(ordinal + 1) and not self.has_day(ordinal + 2)
                block += DAY if is_far else BLOCK
                continue
            if local % DAY // 3600 in self.hours:
                first = local % 3600 // 60
                for minute in range(first, first + BLOCK // 60):
                    if minute in self.minutes:
                        for second in self.seconds:
                            yield block + (minute - first) * 60 + second
            block += BLOCK


def values(word, least, most, names=()):
    """What a field, or a list of its parts, names one by one."""
    found = set()
    for part in word.split(",") if isinstance(word, str) else word:
        base, _, step = part.partition("/")
        number = lambda name: names.index(name) + least if name in names else int(name)
        if base in ("*", "?"):
            first, last = least, most
        else:
            first, last = number(base.split("-")[0]), number(base.split("-")[-1])
            if names is WEEKDAYS and first > last:
                # Sunday, at the other end of the week.
                first, last = (0, last) if first == 7 else (first, 7)
        found.update(range(first, last + 1, int(step or 1)))
    return found


def nearest_working_day(day, wanted, length):
    """None if the month has no such day."""
    if wanted > length:
        return None
    weekday = day.replace(day=wanted).weekday()
    if weekday == 5:
        return wanted - 1 if wanted > 1 else 3
    if weekday == 6:
        return wanted + 1 if wanted < length else wanted - 2
    return wanted


def last_working_day(day):
    length = calendar.monthrange(day.year, day.month)[1]
    return nearest_working_day(day, length, length)


def starts(clock, year):
    """What is asked after, and for how many: in four seasons, and before and amid each change."""
    found = [(datetime(year, month, 1), 400) for month in (1, 4, 7, 10)]
    found = [(int(at.replace(tzinfo=timezone.utc).timestamp()), count) for at, count in found]
    begin = found[0][0]
    for at, _, _ in clock.changes:
        if begin <= at < begin + 366 * DAY:
            found += [(at - 36 * 3600, 400), (at - 7200, 200), (at - 180, 200), (at + 600, 200)]
    return found


def umbel_ticks(program, text, zone, asked):
    lines = "".join(f"{text}\t{zone}\t{after}\t{count}\n" for after, count in asked)
    answers = run([program], input=lines, text=True, capture_output=True, check=True).stdout
    found = [[]]
    for line in answers.splitlines():
        if line.startswith("error: "):
            raise ValueError(line)
        if line:
            found[-1].append(int(line))
        else:
            found.append([])
    return found[:-1]


def peer_cron(text, start):
    return peer.croniter(WRITTEN.get(text, text), start, second_at_beginning=True)


def peer_ticks(text, clock, after, count):
    """croniter's ticks, and why there are no more."""
    found = []
    signal.signal(signal.SIGVTALRM, out_of_patience)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        cron = peer_cron(text, datetime.fromtimestamp(after, clock.zone))
        while len(found) < count and (not found or found[-1] <= UNTIL):
            tick = int(cron.get_next(float))
            if tick <= (found or [after])[-1]:
                return found, "goes back"
            found.append(tick)
    except Exception as why:
        return found, f"{type(why).__name__}: {why}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return found, None


def out_of_patience(*_):
    raise TimeoutError(f"no answer in {PATIENCE} s")


class Answers:
    """All three to one question: ticks up to where all of them go."""

    def __init__(self, after, count, ours, theirs, failed, rule, clock):
        whole = [ticks[-1] for ticks in (ours, theirs) if len(ticks) == count]
        until = min([UNTIL, *whole])
        self.after = after
        self.ours, self.theirs = ({t for t in ticks if t <= until} for ticks in (ours, theirs))
        self.failed = failed
        self.right = rule.ticks(clock, after, until)


CLOCKS = {}


def clock_of(zone):
    if zone not in CLOCKS:
        CLOCKS[zone] = Clock(zone)
    return CLOCKS[zone]


def ask(program, text, zone):
    clock, rule = clock_of(zone), Rule(text)
    asked = starts(clock, ZONES[zone])
    answers = []
    for (after, count), ours in zip(asked, umbel_ticks(program, text, zone, asked), strict=True):
        theirs, failed = ours, None
        if text not in ONLY_UMBEL:
            theirs, failed = peer_ticks(text, clock, after, count)
        answers.append(Answers(after, count, ours, theirs, failed, rule, clock))
    return answers


RANGE_OF_ONE = "a range from a value to itself"
COUNTED_OR = "`W`, `#` or a last weekday beside the other day field"
COUNTED_TOO = "a weekday, and the same one counted"
NO_SUCH_DAY = "`W` with a day that the month does not have"
ALL_OF_THEM = "all days one by one beside a step"
SLOW = "a rhythm of seconds at a day that is skipped"
TWICE = "a fixed time comes twice"
SKIPPED_BEAT = "a rhythm at some hours, and its time is skipped"
SKIPPED_SECONDS = "a fixed time with seconds is skipped"
HALF_HOUR = "a rhythm when half an hour comes twice"
UNKNOWN = "NONE THAT IS KNOWN"


def cause(text, rule, clock, tick, answers):
    """Why only one of the two has `tick`."""
    words = text.upper().split()
    day, weekday = words[-3:-2], words[-1]
    day = day[0] if day else "*"
    is_ours = tick in answers.ours
    if any(a == b for word in words for a, b in re.findall(r"(\w+)-(\w+)", word)):
        return RANGE_OF_ONE
    if is_ours:
        if not (rule.any_day or rule.any_weekday):
            if "W" in day or rule.counted_weekdays:
                return COUNTED_OR
            fields = (day, rule.days, 31, weekday), (weekday, rule.weekdays, 7, day)
            if any(len(found) == all_ and other[0] == "*" for _, found, all_, other in fields):
                return ALL_OF_THEM
        if rule.counted_weekdays and rule.weekdays:
            return COUNTED_TOO
        last = max(answers.theirs, default=answers.after)
        if answers.failed and tick > last:
            days = (at for at, before, after in clock.changes if after - before == DAY)
            is_slow = "TimeoutError" in answers.failed and any(0 <= at - last < 60 for at in days)
            return SLOW if is_slow else UNKNOWN
    elif "W" in day and not rule.has_day(EPOCH + clock.shows(tick) // DAY):
        return NO_SUCH_DAY
    for at, before, after in clock.changes:
        length = abs(after - before)
        if not at <= tick < at + length:
            continue
        if before > after:
            if rule.is_fixed and not is_ours:
                return TWICE
            if not rule.is_fixed and is_ours and length == 1800:
                return HALF_HOUR
        # croniter goes on by whole minutes until the time is there.
        elif tick < at + 60:
            if not rule.is_fixed and not is_ours and rule.hours != set(range(24)):
                return SKIPPED_BEAT
            if rule.is_fixed and rule.seconds != {0}:
                return SKIPPED_SECONDS
    return UNKNOWN


class Row:
    """What came of one cause."""

    def __init__(self):
        self.texts, self.pairs, self.ticks = set(), set(), set()
        self.example = None

    def add(self, text, zone, tick, clock, answers):
        self.texts.add(text)
        self.pairs.add((text, zone))
        self.ticks.add((text, zone, tick))
        if self.example is None:
            common = answers.ours & answers.theirs
            last = max((t for t in common if t < tick), default=answers.after)
            told = lambda ticks: shown(min((t for t in ticks if t > last), default=None), clock)
            theirs = told(answers.theirs)
            if theirs is None:
                theirs = answers.failed or "none"
            self.example = (
                f"`{text}`, {zone}, after {shown(last, clock)}:"
                f" umbel {told(answers.ours)}, croniter {theirs}"
            )


def shown(at, clock):
    if at is None:
        return None
    text = datetime.fromtimestamp(at, clock.zone).isoformat(" ")
    return text.replace(":00+", "+").replace(":00-", "-")


def languages(program):
    """What is wrong with the lists of what only one of them takes."""
    wrong = []
    start = datetime(2025, 1, 1, tzinfo=timezone.utc)
    for text in EXPRESSIONS + ONLY_UMBEL + ONLY_PEER:
        takers = []
        try:
            umbel_ticks(program, text, "UTC", [(0, 1)])
            takers.append("umbel")
        except ValueError:
            pass
        try:
            peer_cron(text, start)
            takers.append("croniter")
        except peer.CroniterBadCronError:
            pass
        alone = {"umbel": ONLY_UMBEL, "croniter": ONLY_PEER}
        expected = [name for name in alone if text in EXPRESSIONS + alone[name]]
        if takers != expected:
            wrong.append(f"`{text}` is taken by {takers}, not by {expected}")
    return wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = sys.argv[1]
    wrong = languages(program)
    jobs = [(text, zone) for zone in ZONES for text in EXPRESSIONS + ONLY_UMBEL]
    rows = defaultdict(Row)
    questions, compared = 0, set()
    with ProcessPoolExecutor(2) as pool:
        asked = pool.map(ask, *zip(*((program, text, zone) for text, zone in jobs)))
        for (text, zone), all_answers in zip(jobs, asked):
            clock, rule = clock_of(zone), Rule(text)
            for answers in all_answers:
                for tick in sorted(answers.ours ^ answers.right)[:1]:
                    wrong.append(f"umbel: `{text}`, {zone}, {shown(tick, clock)}")
                if text in ONLY_UMBEL:
                    continue
                questions += 1
                compared |= {(text, zone, tick) for tick in answers.ours | answers.theirs}
                for tick in sorted(answers.ours ^ answers.theirs):
                    why = cause(text, rule, clock, tick, answers)
                    rows[why].add(text, zone, tick, clock, answers)
    pairs = {pair for row in rows.values() for pair in row.pairs}
    ticks = {tick for row in rows.values() for tick in row.ticks}
    all_pairs = len(EXPRESSIONS) * len(ZONES)
    print(f"{len(EXPRESSIONS)} expressions in {len(ZONES)} zones, each after several instants:")
    print(f"{questions} questions. A tick that is in several answers counts once.")
    print(f"All ticks are the same in {all_pairs - len(pairs)} of {all_pairs} pairs.")
    print(f"Of {len(compared)} ticks, {len(ticks)} come from one of the two only.")
    print("\n| cause | expressions | pairs | ticks | example |\n|---|---|---|---|---|")
    for why, row in sorted(rows.items(), key=lambda item: -len(item[1].pairs)):
        counts = f"{len(row.texts)} | {len(row.pairs)} | {len(row.ticks)}"
        print(f"| {why} | {counts} | {row.example} |")
    print("\numbel is what the rule says." if not wrong else "\n".join(["\nWRONG:", *wrong]))
    return 1 if wrong or UNKNOWN in rows else 0


if __name__ == "__main__":
    sys.exit(main())
