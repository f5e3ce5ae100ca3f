//! The network between namespaces, in user space: it decides the fate of every packet.
//!
//! Each port is a tun device whose other end is the only way out of a namespace. The third number
//! of an address says to which port it belongs, so that a host may have another address at any time.
//! What is random follows from a seed; when packets come does not.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use tokio_tun::Tun;

use super::namespace::Namespace;

/// A port of the switch: the host behind it.
pub type Port = u8;

/// What packets between nodes suffer. Those of clients suffer nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The share of packets that are lost.
    pub loss: f64,
    /// The share of packets that come twice.
    pub duplication: f64,
    /// The share of packets that are overtaken: they come up to 30 ms late.
    pub reordering: f64,
    /// The share of packets that come up to three seconds late, most of them much less.
    pub long_tail: f64,
}

#[derive(Debug)]
struct Rules {
    /// Ways that nothing passes, from one port to another.
    cut: BTreeSet<(Port, Port)>,
    weather: Weather,
    rng: ChaCha8Rng,
    /// Packets that are on their way late.
    late: usize,
    /// Packets that did not simply arrive: lost, doubled, or late.
    suffered: u64,
}

/// The switch. Its ports vanish with it.
#[derive(Debug)]
pub struct Switch {
    rules: Arc<Mutex<Rules>>,
    ending: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Ports from here on are clients'.
pub const FIRST_CLIENT: Port = 200;
/// The longest that any packet is late.
const LATE_MAX: Duration = Duration::from_secs(3);
/// What is late waits in memory: beyond this it is lost.
const LATE_PACKETS_MAX: usize = 20_000;
const PACKET_BYTES_MAX: usize = 2_048;

/// The `nth` address of the host behind a port, from 1.
#[must_use]
pub const fn address(port: Port, nth: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, port, nth)
}

impl Switch {
    /// Connects namespaces, each at a port.
    ///
    /// # Errors
    /// There are no tun devices here, or they may not be used.
    pub fn start(ports: &[(Port, &Namespace)], seed: u64) -> Result<Self, String> {
        let rules = Arc::new(Mutex::new(Rules {
            cut: BTreeSet::new(),
            weather: Weather::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            late: 0,
            suffered: 0,
        }));
        let (ending, ended) = oneshot::channel();
        let (told, is_open) = mpsc::channel();
        let names: Vec<_> =
            ports.iter().map(|(port, namespace)| (*port, namespace.name().to_owned())).collect();
        let thread = thread::spawn({
            let rules = Arc::clone(&rules);
            move || run(&names, &rules, ended, &told)
        });
        let switch = Self { rules, ending: Some(ending), thread: Some(thread) };
        is_open.recv().map_err(|_| "the switch has died".to_owned())??;
        for (port, namespace) in ports {
            let own = format!("{}/16", address(*port, 1));
            namespace.ip(&["address", "add", &own, "dev", &device(*port)])?;
            namespace.ip(&["link", "set", &device(*port), "up"])?;
        }
        Ok(switch)
    }

    /// From now on nothing passes from `from` to `to`.
    pub fn cut_one_way(&self, from: Port, to: Port) {
        self.rules(|rules| rules.cut.insert((from, to)));
    }

    /// From now on nothing passes between those of one side and those of the other.
    pub fn cut(&self, one: &[Port], other: &[Port]) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.cut_one_way(a, b);
            self.cut_one_way(b, a);
        }
    }

    /// Makes packets suffer.
    pub fn weather(&self, weather: Weather) {
        self.rules(|rules| rules.weather = weather);
    }

    /// Everything passes again, at once and once.
    pub fn heal(&self) {
        self.rules(|rules| {
            rules.cut.clear();
            rules.weather = Weather::default();
        });
    }

    /// How many packets the weather has lost, doubled or made late by now.
    #[must_use]
    pub fn suffered(&self) -> u64 {
        self.rules(|rules| rules.suffered)
    }

    fn rules<T>(&self, change: impl FnOnce(&mut Rules) -> T) -> T {
        change(&mut self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        drop(self.ending.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been told.
            drop(thread.join());
        }
    }
}

/// The device of a port, in its namespace.
#[must_use]
pub fn device(port: Port) -> String {
    format!("port{port}")
}

fn run(
    names: &[(Port, String)],
    rules: &Arc<Mutex<Rules>>,
    ended: oneshot::Receiver<()>,
    told: &mpsc::Sender<Result<(), String>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let opened = runtime.map_err(|why| why.to_string()).and_then(|runtime| {
        let _inside = runtime.enter();
        let opened = names.iter().map(|(port, name)| Ok((*port, Arc::new(open(*port, name)?))));
        let opened: Result<Vec<_>, String> = opened.collect();
        Ok((opened?, runtime))
    });
    let (ports, runtime) = match opened {
        Ok(opened) => opened,
        Err(why) => return drop(told.send(Err(why))),
    };
    let ports: Arc<[(Port, Arc<Tun>)]> = ports.into();
    runtime.block_on(async {
        for (port, tun) in ports.iter() {
            tokio::spawn(forward(*port, Arc::clone(tun), Arc::clone(&ports), Arc::clone(rules)));
        }
        drop(told.send(Ok(())));
        drop(ended.await);
    });
}

/// Opens a device and puts it into a namespace, where it stays open.
fn open(port: Port, namespace: &str) -> Result<Tun, String> {
    let tun = Tun::builder().build().map_err(|why| format!("no tun device can be made: {why}"))?;
    let tun = tun.into_iter().next().ok_or("no tun device was made")?;
    let (name, device) = (tun.name().to_owned(), device(port));
    super::program::system("ip", &["link", "set", &name, "netns", namespace, "name", &device])?;
    Ok(tun)
}

async fn forward(
    from: Port,
    tun: Arc<Tun>,
    ports: Arc<[(Port, Arc<Tun>)]>,
    rules: Arc<Mutex<Rules>>,
) {
    let mut packet = [0; PACKET_BYTES_MAX];
    while let Ok(bytes) = tun.recv(&mut packet).await {
        let packet = &packet[..bytes];
        // Only version 4 of the protocol is spoken here; where it goes stands in bytes 16 to 19.
        let Some(&[10, 77, to, _]) = packet.get(16..20).filter(|_| packet[0] >> 4 == 4) else {
            continue;
        };
        let Some((_, target)) = ports.iter().find(|(port, _)| *port == to) else { continue };
        let fate = rules.lock().unwrap_or_else(PoisonError::into_inner).fate(from, to);
        for late in fate.into_iter().flatten() {
            if late.is_zero() {
                // A full queue loses it, as queues do.
                drop(target.try_send(packet));
                continue;
            }
            let (target, packet, rules) =
                (Arc::clone(target), packet.to_owned(), Arc::clone(&rules));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let is_cut = {
                    let mut rules = rules.lock().unwrap_or_else(PoisonError::into_inner);
                    rules.late -= 1;
                    rules.cut.contains(&(from, to))
                };
                if !is_cut {
                    drop(target.try_send(&packet));
                }
            });
        }
    }
}

impl Rules {
    /// How late a packet and its double come; nothing means never.
    fn fate(&mut self, from: Port, to: Port) -> [Option<Duration>; 2] {
        if self.cut.contains(&(from, to)) {
            return [None, None];
        }
        if from >= FIRST_CLIENT || to >= FIRST_CLIENT {
            return [Some(Duration::ZERO), None];
        }
        let Weather { loss, duplication, .. } = self.weather;
        let first = if self.rng.random_bool(loss) { None } else { self.late() };
        let second = if self.rng.random_bool(duplication) { self.late() } else { None };
        self.suffered += u64::from((first, second) != (Some(Duration::ZERO), None));
        [first, second]
    }

    fn late(&mut self) -> Option<Duration> {
        let Weather { reordering, long_tail, .. } = self.weather;
        let late = if self.rng.random_bool(long_tail) {
            // Cubed, most are short and a few are very long.
            LATE_MAX.mul_f64(self.rng.random::<f64>().powi(3))
        } else if self.rng.random_bool(reordering) {
            Duration::from_millis(self.rng.random_range(1..=30))
        } else {
            return Some(Duration::ZERO);
        };
        if self.late >= LATE_PACKETS_MAX {
            return None;
        }
        self.late += 1;
        Some(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(weather: Weather) -> Rules {
        let rng = ChaCha8Rng::seed_from_u64(7);
        Rules { cut: BTreeSet::new(), weather, rng, late: 0, suffered: 0 }
    }

    #[test]
    fn packets_suffer_as_often_as_they_should() {
        let weather = Weather { loss: 0.3, duplication: 0.5, ..Weather::default() };
        let mut rules = rules(weather);
        let fates: Vec<_> = (0..10_000).map(|_| rules.fate(1, 2)).collect();
        let lost = fates.iter().filter(|[first, _]| first.is_none()).count();
        let doubled = fates.iter().filter(|[_, second]| second.is_some()).count();
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert!((4_800..5_200).contains(&doubled), "{doubled}");
        assert_eq!(rules.fate(1, FIRST_CLIENT), [Some(Duration::ZERO), None], "clients are spared");
    }

    #[test]
    fn a_cut_is_for_one_way_and_for_all() {
        let mut rules = rules(Weather::default());
        rules.cut.extend([(1, 2), (1, FIRST_CLIENT)]);
        assert_eq!((rules.fate(1, 2), rules.fate(1, FIRST_CLIENT)), ([None, None], [None, None]));
        assert_eq!(rules.fate(2, 1), [Some(Duration::ZERO), None]);
    }

    #[test]
    fn tails_are_long_and_thin() {
        let mut rules = rules(Weather { long_tail: 1.0, ..Weather::default() });
        let late: Vec<_> = (0..1_000).filter_map(|_| rules.fate(1, 2)[0]).collect();
        assert!(late.iter().all(|late| *late <= LATE_MAX));
        assert!(late.iter().filter(|late| **late > LATE_MAX / 2).count() < 300);
        assert!(late.iter().any(|late| *late > LATE_MAX / 2));
    }
}
