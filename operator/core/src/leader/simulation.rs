//! Replicas with clocks of their own, a network that loses and delays, and one
//! Lease: at no moment may two of them write.

use proptest::prelude::*;

use super::*;

/// Milliseconds of real time, which nobody in the simulation can read.
type Real = u64;

/// What happens to a replica, or between it and the API server.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// No request arrives, and no answer.
    Partition,
    /// Requests are done, answers do not arrive.
    Deaf,
    /// The process stands still; its clock does not.
    Frozen,
    /// The process dies and is started again, as somebody else.
    Restart,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    replica: usize,
    from: Real,
    lasts: Real,
    fault: Fault,
}

struct Replica {
    elector: Elector,
    life: u32,
    /// Of the local clock, against real time.
    rate: f64,
    offset: Duration,
    next: Real,
}

impl Replica {
    fn now(&self, real: Real) -> Moment {
        self.offset + Duration::from_millis(real).mul_f64(self.rate)
    }
}

/// The API server: one object with a version.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u64,
}

impl Server {
    fn read(&self) -> Option<Seen> {
        let record = self.lease.clone()?;
        Some(Seen {
            record,
            version: self.version.to_string(),
        })
    }

    fn write(&mut self, record: Record, replaced: Option<&str>) -> Option<Seen> {
        let matches = match replaced {
            None => self.lease.is_none(),
            Some(version) => self.lease.is_some() && self.version.to_string() == version,
        };
        if !matches {
            return None;
        }
        self.version += 1;
        self.lease = Some(record);
        self.read()
    }
}

const STEP: Real = 100;

/// Runs for so many milliseconds; answers how many had led by the end, and who
/// leads then.
fn run(rates: &[f64], events: &[Event], delays: &[Real], lasts: Real) -> (i32, Option<usize>) {
    let mut server = Server::default();
    let mut replicas: Vec<Replica> = rates
        .iter()
        .enumerate()
        .map(|(number, rate)| Replica {
            elector: Elector::new(format!("{number}-0"), Timings::default()),
            life: 0,
            rate: *rate,
            offset: Duration::from_secs(1000 * number as u64),
            next: 300 * number as Real,
        })
        .collect();
    let mut delay = delays.iter().copied().cycle();
    let mut real = 0;
    while real < lasts {
        for (number, replica) in replicas.iter_mut().enumerate() {
            let fault = events.iter().find(|event| {
                event.replica == number && (event.from..event.from + event.lasts).contains(&real)
            });
            let fault = fault.map(|event| event.fault);
            match fault {
                Some(Fault::Frozen) => continue,
                Some(Fault::Restart) => {
                    replica.life += 1;
                    let id = format!("{number}-{}", replica.life);
                    replica.elector = Elector::new(id, Timings::default());
                    continue;
                }
                _ => {}
            }
            if real < replica.next || matches!(fault, Some(Fault::Partition)) {
                continue;
            }
            let way = delay.next().unwrap_or(0);
            attempt(replica, &mut server, real, way, fault);
            let jitter = Jitter::new(f64::from(u32::try_from(real % 1000).unwrap()) / 1000.0);
            let pause = Timings::default().pause(jitter);
            replica.next = real + way + u64::try_from(pause.as_millis()).unwrap();
        }
        let writers: Vec<usize> = (0..replicas.len())
            .filter(|number| {
                let replica = &replicas[*number];
                replica.elector.leads(replica.now(real))
            })
            .collect();
        assert!(writers.len() <= 1, "at {real} ms {writers:?} may write");
        real += STEP;
    }
    let leads = |number: &usize| replicas[*number].elector.leads(replicas[*number].now(real));
    let leader = (0..replicas.len()).find(leads);
    (server.lease.map_or(0, |lease| lease.transitions), leader)
}

/// One look and one write, whose answer comes back `way` milliseconds later.
fn attempt(
    replica: &mut Replica,
    server: &mut Server,
    real: Real,
    way: Real,
    fault: Option<Fault>,
) {
    let deaf = matches!(fault, Some(Fault::Deaf));
    let sent = replica.now(real);
    let heard = replica.now(real + way);
    if !deaf && !replica.elector.leads(sent) {
        replica.elector.observe(server.read(), heard);
    }
    let answer = match replica.elector.turn(sent) {
        Turn::Create(record) => server.write(record, None),
        Turn::Replace { record, version } => server.write(record, Some(&version)),
        Turn::Wait(_) => return,
        Turn::Lost(_) => {
            replica.life += 1;
            let id = format!("again-{}-{}", replica.life, replica.offset.as_secs());
            replica.elector = Elector::new(id, Timings::default());
            return;
        }
    };
    if deaf {
        return;
    }
    match answer {
        Some(written) => replica.elector.written(written, sent, heard),
        None => replica.elector.observe(server.read(), heard),
    }
}

fn event() -> impl Strategy<Value = Event> {
    let fault = prop_oneof![
        Just(Fault::Partition),
        Just(Fault::Deaf),
        Just(Fault::Frozen),
        Just(Fault::Restart),
    ];
    (0usize..3, 0u64..200_000, 100u64..60_000, fault).prop_map(|(replica, from, lasts, fault)| {
        Event {
            replica,
            from,
            lasts,
            fault,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Clocks that differ by up to a fifth either way: 10 s at 0.83 are 12 s of
    /// real time, 15 s at 1.2 are 12.5 s.
    #[test]
    fn never_may_two_write_and_in_the_end_one_may(
        rates in proptest::collection::vec(0.84f64..1.19, 3),
        events in proptest::collection::vec(event(), 0..12),
        delays in proptest::collection::vec(0u64..1500, 1..40),
    ) {
        // The last fault ends by 260 s; then 20 s expire, and somebody tries.
        let (_, leader) = run(&rates, &events, &delays, 310_000);
        prop_assert!(leader.is_some());
    }
}

#[test]
fn without_faults_the_first_one_leads_for_ever() {
    assert_eq!(run(&[1.0, 1.1, 0.9], &[], &[5], 600_000), (0, Some(0)));
}

#[test]
fn a_frozen_holder_is_replaced_and_may_not_write_when_it_wakes() {
    let frozen = Event {
        replica: 0,
        from: 20_000,
        lasts: 40_000,
        fault: Fault::Frozen,
    };
    let (transitions, leader) = run(&[1.0, 1.0], &[frozen], &[5], 120_000);
    assert_eq!((transitions, leader), (1, Some(1)));
}

#[test]
fn a_holder_that_nobody_answers_gives_up_before_another_takes_over() {
    let deaf = Event {
        replica: 0,
        from: 20_000,
        lasts: 30_000,
        fault: Fault::Deaf,
    };
    // Its writes arrive until it gives up, so the others see it renew.
    let (transitions, leader) = run(&[1.0, 1.0], &[deaf], &[5], 120_000);
    assert_eq!((transitions, leader), (1, Some(1)));
}
