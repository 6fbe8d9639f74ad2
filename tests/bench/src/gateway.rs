//! The local gateway with the default chain, against a reverse proxy of the
//! same stack that has no policies.

mod load;
mod proxy;
mod subject;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use apim_gateway::{Configuration, Gateway};

use crate::table::{Goal, Samples, Table, short};
use load::Client;
use subject::Subject;

/// Connections that send one request after the other.
const CONNECTIONS: usize = 32;
/// How many turns gateway and proxy take each.
const TURNS: u32 = 7;
/// How long a turn is.
const TURN: Duration = Duration::from_secs(2);
/// Keys of rate limits.
const KEYS: u32 = 10_000;

/// A Tokio runtime on one thread of its own: what is measured never shares one
/// with what measures it.
struct Thread {
    handle: tokio::runtime::Handle,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Thread {
    fn start(name: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // An end that is gone is an end.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            handle,
            stop: Some(stop),
        })
    }

    /// Runs something there and waits for it.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.handle.spawn(async move {
            let _ = tell.send(work.await);
        });
        told.recv().context("it ended before it was done")?
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// Throughput, latency and memory.
pub(crate) fn gateway(table: &mut Table) -> Result<()> {
    let subject = Subject::new()?;
    // One thread serves, one calls and answers: the machine may have no more.
    let (measured, around) = (Thread::start("measured")?, Thread::start("around")?);
    let backend = around.run(proxy::backend(subject.provider()))?;
    let options = subject.options();
    let configuration = subject.configuration(backend)?;
    let first = configuration.clone();
    let gateway = measured.run(async move { Ok(Gateway::start(&first, options).await?) })?;
    let problems = gateway.problems();
    anyhow::ensure!(problems.is_empty(), "{problems:?}");
    let bare = measured.run(proxy::reverse_proxy(subject.certificate().clone(), backend))?;

    let client = subject.client()?;
    let target = |address: SocketAddr| Client {
        address,
        ..client.clone()
    };
    let (ours, floor) = (target(gateway.address()), target(bare));
    // First, before there is freed memory that keys could take.
    let held = memory(&around, &gateway, &ours)?;
    gateway.configure(&configuration);
    refuses(&around, &ours)?;
    throughput(table, &around, &ours, &floor)?;
    latency(table, &around, &ours, &floor)?;
    table.figure(
        &format!("gateway, memory with {KEYS} keys of rate limits"),
        held,
    );
    table.legend(format!(
        "gateway: the default chain with a valid token, over TLS and HTTP/1.1; the floor is a reverse proxy with the same hyper, \
         TLS and connection settings and no policies, in turns of {TURN:?} in the same run. Each serves on one thread, beside one \
         that sends {CONNECTIONS} requests at a time and answers them"
    ));
    Ok(())
}

/// What is measured protects: without a token nothing passes.
fn refuses(around: &Thread, ours: &Client) -> Result<()> {
    let with = ours.clone();
    let without = Client {
        headers: Vec::new(),
        ..ours.clone()
    };
    let (good, bad) = around.run(async move {
        let good = with.connect().await?.status().await?;
        Ok((good, without.connect().await?.status().await?))
    })?;
    anyhow::ensure!(
        (good, bad) == (200, 401),
        "with a token {good}, without one {bad}"
    );
    Ok(())
}

fn throughput(table: &mut Table, around: &Thread, ours: &Client, floor: &Client) -> Result<()> {
    let turn = |client: &Client, time: Duration| {
        let client = client.clone();
        around.run(async move { load::requests(&client, CONNECTIONS, time).await })
    };
    // Connections to the backend, keys of tokens, branch predictors.
    for client in [ours, floor] {
        turn(client, Duration::from_millis(500))?;
    }
    let (mut passed, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        bare.push(turn(floor, TURN)?);
        passed.push(turn(ours, TURN)?);
    }
    // The middle turn: one that others disturbed says nothing.
    let rate = |mut counts: Vec<u32>| {
        counts.sort_unstable();
        f64::from(counts[counts.len() / 2]) / TURN.as_secs_f64()
    };
    let (passed, bare) = (rate(passed), rate(bare));
    table.against(
        "gateway, requests per second",
        (format!("{passed:.0}/s"), format!("{bare:.0}/s")),
        passed / bare,
        Some(Goal::AtLeast(0.5)),
    );
    Ok(())
}

fn latency(table: &mut Table, around: &Thread, ours: &Client, floor: &Client) -> Result<()> {
    let clients = [floor.clone(), ours.clone()];
    let samples = around.run(async move {
        let mut connections = Vec::new();
        for client in &clients {
            connections.push(client.connect().await?);
        }
        let mut samples = [Samples::default(), Samples::default()];
        for round in 0..5_500 {
            for (connection, samples) in connections.iter_mut().zip(&mut samples) {
                let started = Instant::now();
                let status = connection.status().await?;
                let took = started.elapsed();
                anyhow::ensure!(status == 200, "answered {status}");
                if round >= 500 {
                    samples.push(took);
                }
            }
        }
        Ok(samples)
    })?;
    let [floor, ours] = samples;
    let quantiles = [
        ("p50", ours.median(), floor.median()),
        ("p99", ours.p99(), floor.p99()),
    ];
    for (name, ours, floor) in quantiles {
        table.against(
            &format!("gateway, latency {name}, one request at a time"),
            (short(ours), short(floor)),
            ours.as_secs_f64() / floor.as_secs_f64(),
            None,
        );
        table.figure(
            &format!("  of it, added to the bare proxy's {name}"),
            short(ours.saturating_sub(floor)),
        );
    }
    Ok(())
}

/// What the keys of rate limits take.
fn memory(around: &Thread, gateway: &Gateway, ours: &Client) -> Result<String> {
    gateway.configure(&Configuration {
        services: vec![subject::limited()],
    });
    let problems = gateway.problems();
    anyhow::ensure!(problems.is_empty(), "{problems:?}");
    let send = |distinct: bool| {
        let client = ours.clone();
        around.run(async move {
            let mut connection = client.connect().await?;
            for number in 0..KEYS {
                let number = if distinct { number } else { 0 };
                let key = format!("caller-{number:08}");
                let status = connection.with("x-key", &key).await?;
                anyhow::ensure!(status == 200, "answered {status}");
            }
            Ok(())
        })
    };
    // The same requests for one key first: what is left is the keys'.
    send(false)?;
    let (before, held) = (resident()?, gateway.rate_limit_keys());
    send(true)?;
    let (after, keys) = (resident()?, gateway.rate_limit_keys());
    let added = keys - held;
    anyhow::ensure!(added + 1 == KEYS as usize, "{added} keys were added");
    let grown = after.saturating_sub(before);
    Ok(format!(
        "{} KiB more than {} KiB: {} bytes a key",
        grown / 1024,
        before / 1024,
        grown / added as u64
    ))
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes.context("no VmRSS")?.parse()?;
    Ok(kilobytes * 1024)
}
