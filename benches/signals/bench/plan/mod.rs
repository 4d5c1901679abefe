//! What is measured with whom, and how often.

pub(crate) mod who;

use super::Asked;

/// Contenders that do the same, in turns.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) module: &'static str,
    pub(crate) title: String,
    pub(crate) work: String,
    pub(crate) total: u64,
    pub(crate) rounds: usize,
    /// How many CPUs it takes.
    pub(crate) cpus: usize,
    /// Which number of a reading counts, and what it says.
    pub(crate) key: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) contenders: Vec<String>,
}

impl Group {
    fn on_two_cpus(self) -> Self {
        Self { cpus: 2, ..self }
    }

    /// What counts is the CPU time of the receiver.
    fn cpu(self) -> Self {
        Self { key: "cpu", ..self }
    }

    /// What counts is how many events there were in a second.
    fn events(self) -> Self {
        Self { key: "events", unit: "events/s", ..self }
    }

    /// It counts, so once is enough.
    fn once(self, key: &'static str, unit: &'static str) -> Self {
        Self { rounds: 1, key, unit, ..self }
    }
}

pub(crate) const DEPTHS: [u64; 5] = [1, 16, 64, 512, 4096];

/// How many are queued where there are several numbers.
const SEVERAL: [u64; 3] = [128, 512, 2048];

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    rounds: usize,
    /// For 100 in a full run.
    percent: u64,
}

impl Amount {
    pub(crate) const fn of(asked: &Asked) -> Self {
        if asked.quick {
            return Self { rounds: 2, percent: 10 };
        }
        Self { rounds: 9, percent: 100 }
    }

    fn group(
        self,
        title: &str,
        work: &str,
        total: u64,
        contenders: &[&str],
    ) -> Group {
        Group {
            module: "raw",
            title: title.into(),
            work: work.into(),
            total: total * self.percent / 100,
            rounds: self.rounds,
            cpus: 1,
            key: "ns",
            unit: "ns",
            contenders: contenders.iter().map(|&name| name.into()).collect(),
        }
    }
}

fn among(own: &[&'static str], peers: &[&'static str]) -> Vec<&'static str> {
    [own, peers].concat()
}

/// The names of all workloads.
pub(crate) fn works() -> Vec<String> {
    let amount = Amount::of(&Asked::default());
    let all = [raw(amount), peers(amount), python(amount, &[])].concat();
    let mut works = Vec::new();
    for Group { work, .. } in all {
        if !works.contains(&work) {
            works.push(work);
        }
    }
    works
}

/// The crate against its peers.
pub(crate) fn peers(amount: Amount) -> Vec<Group> {
    let own = ["raw/read1", "crate/wait", "crate/future"];
    let opened = ["raw/open", "crate/open", "crate/open-checked"];
    let counted = ["crate/wait", "crate/future"];
    let flooded = ["raw/read64", "crate/wait-batch"];
    let queued = amount.group(
        "100000 queued real-time signals: how many arrive",
        "queued",
        100_000,
        &among(&["crate/wait-batch", "crate/future"], who::QUEUE),
    );
    let in_loops = |rate: &str, work: &str, total: u64| {
        let title =
            format!("{rate} a second, in loops of others: ns of CPU for each");
        let who = among(&["crate/wait-batch"], who::IN_LOOPS);
        amount.group(&title, work, total, &who).on_two_cpus().cpu()
    };
    // As many in a quick run.
    let queued = Group { total: 100_000, ..queued };
    let groups = [
        amount.group(
            "drain of 64, one record for each read: ns for each signal",
            "drain:64",
            100_000,
            &among(
                &["raw/read64", "raw/read1", "crate/wait-batch"],
                who::DRAINED,
            ),
        ),
        amount.group(
            "kill and receive, among peers: ns",
            "self",
            50_000,
            &among(&own, who::PEERS),
        ),
        amount.group(
            "round trip with raw system calls, one CPU, among peers: ns",
            "rtt:peers",
            10_000,
            &among(&own, who::PEERS),
        ),
        amount.group(
            "open and drop, among peers: ns",
            "open",
            10_000,
            &among(&opened, who::CLOSE),
        ),
        amount
            .group(
                "allocations for each signal",
                "allocations",
                50_000,
                &among(&counted, who::PEERS),
            )
            .once("signal", "allocations"),
        amount
            .group(
                "allocations to open",
                "allocations",
                1_000,
                &among(&counted, who::PEERS),
            )
            .once("open", "allocations"),
        amount
            .group(
                "a flood of one standard signal, among peers: events/s",
                "flood",
                300,
                &among(&flooded, who::FLOODED),
            )
            .on_two_cpus()
            .events(),
        queued.on_two_cpus().once("received", "signals"),
        in_loops("500,000", "paced:500", 100_000),
        in_loops("100,000", "paced:100", 30_000),
    ];
    groups.map(|group| Group { module: "peers", ..group }).into()
}

/// The crate against Python, with what of it is there.
pub(crate) fn python(amount: Amount, anyio: &[&'static str]) -> Vec<Group> {
    let own = ["raw/read1", "crate/future"];
    let group = amount.group(
        "kill and receive, against Python: ns",
        "self",
        20_000,
        &among(&own, anyio),
    );
    vec![Group { module: "python", ..group }]
}

/// The crate against raw system calls.
pub(crate) fn raw(amount: Amount) -> Vec<Group> {
    let mut groups = Vec::new();
    for depth in DEPTHS {
        let with_handler = among(who::DRAIN, &["raw/handler"]);
        let who = if depth == 64 { &with_handler } else { who::DRAIN };
        groups.push(amount.group(
            &format!("drain of {depth}: ns for each signal"),
            &format!("drain:{depth}"),
            100_000,
            who,
        ));
    }
    for depth in SEVERAL {
        groups.push(amount.group(
            &format!(
                "drain of {depth} with several numbers: ns for each signal"
            ),
            &format!("numbers:{depth}"),
            20_000,
            who::NUMBERS,
        ));
    }
    groups.extend(on_one_cpu(amount));
    groups.extend(on_two_cpus(amount));
    groups
}

fn on_one_cpu(amount: Amount) -> Vec<Group> {
    vec![
        amount.group("kill and receive: ns", "self", 100_000, who::SELF),
        amount.group(
            "round trip, one CPU: ns",
            "rtt:same",
            20_000,
            who::ROUND_TRIP,
        ),
        amount.group("open and drop: ns", "open", 50_000, who::OPEN),
        amount.group("look at a thread: ns", "check", 2_000, who::CHECK),
        amount.group("send what is blocked: ns", "send", 50_000, who::SEND),
        amount.group(
            "kill and receive while other threads wait for other signals: ns",
            "herd",
            20_000,
            who::HERD,
        ),
    ]
}

fn on_two_cpus(amount: Amount) -> Vec<Group> {
    let groups = [
        amount.group(
            "round trip, two CPUs: ns",
            "rtt:two",
            4_000,
            who::TWO_CPUS,
        ),
        amount.group(
            "another process sends: ns for each signal",
            "throughput",
            200_000,
            &among(who::ROUND_TRIP, who::MODERATED),
        ),
        amount.group(
            "another thread sends: ns for each signal",
            "throughput:thread",
            200_000,
            who::FLOOD,
        ),
        amount
            .group(
                "500,000 a second: ns of CPU for each signal",
                "paced:500",
                100_000,
                who::PACED,
            )
            .cpu(),
        amount
            .group(
                "100,000 a second: ns of CPU for each signal",
                "paced:100",
                30_000,
                who::PACED,
            )
            .cpu(),
        amount.group(
            "idle for 1 ms, then a signal: ns from sending to receiving",
            "idle",
            200,
            who::IDLE,
        ),
        amount
            .group(
                "a flood of one standard signal: events/s",
                "flood",
                300,
                who::FLOOD,
            )
            .events(),
    ];
    groups.map(Group::on_two_cpus).into()
}
