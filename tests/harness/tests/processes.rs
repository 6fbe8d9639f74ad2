//! Child processes: waited for, ended, and never left behind.
#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

use std::process::Command;
use std::time::Duration;

use test_harness::{Process, ProcessError, TempDir, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// `ps` rather than a signal: a process that nobody waited for is a zombie,
/// which takes signals.
fn runs(id: &str) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", id])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

async fn gone(id: &str) {
    wait_until(&format!("process {id} is gone"), SOON, async || {
        if runs(id) { Err("it runs") } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_line_is_waited_for_and_given_back_whole() {
    let dir = TempDir::new("processes-").unwrap();
    let mut process = Process::spawn(
        "speaker",
        &mut shell("echo one; echo listening on :8080 >&2; exec sleep 1000"),
        dir.join("log"),
    )
    .unwrap();
    let line = process.wait_for_line("listening", SOON).await.unwrap();
    assert_eq!(line, "listening on :8080");
    assert_eq!(process.log().unwrap(), "one\nlistening on :8080\n");
}

#[tokio::test]
async fn a_process_that_ends_early_is_an_error_with_its_status_and_last_lines() {
    let dir = TempDir::new("processes-").unwrap();
    let mut process = Process::spawn(
        "short",
        &mut shell("echo no such file; exit 3"),
        dir.join("log"),
    )
    .unwrap();
    let error = process.wait_for_line("ready", SOON).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "short ended (exit status: 3) before a line with \"ready\"; its last lines:\nno such file"
    );
}

#[tokio::test]
async fn a_process_that_says_nothing_is_late() {
    let dir = TempDir::new("processes-").unwrap();
    let mut process =
        Process::spawn("mute", &mut shell("exec sleep 1000"), dir.join("log")).unwrap();
    let deadline = Duration::from_millis(100);
    let error = process.wait_for_line("ready", deadline).await.unwrap_err();
    assert!(matches!(error, ProcessError::Late { .. }), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let dir = TempDir::new("processes-").unwrap();
    let mut command = Command::new("/nowhere/at-all");
    let error = Process::spawn("ghost", &mut command, dir.join("log")).unwrap_err();
    assert!(
        error.to_string().starts_with("ghost (/nowhere/at-all): "),
        "{error}"
    );
}

#[tokio::test]
async fn terminate_lets_a_process_finish_and_kills_one_that_does_not() {
    let dir = TempDir::new("processes-").unwrap();
    let mut polite = Process::spawn(
        "polite",
        &mut shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
        dir.join("polite"),
    )
    .unwrap();
    polite.wait_for_line("up", SOON).await.unwrap();
    let exit = polite.terminate(SOON).await.unwrap();
    assert!(exit.status.success() && !exit.forced, "{exit:?}");
    assert_eq!(polite.log().unwrap(), "up\nbye\n");

    let mut deaf = Process::spawn(
        "deaf",
        &mut shell("trap '' TERM; echo up; while :; do sleep 0.05; done"),
        dir.join("deaf"),
    )
    .unwrap();
    deaf.wait_for_line("up", SOON).await.unwrap();
    let exit = deaf.terminate(Duration::from_millis(200)).await.unwrap();
    assert!(exit.was_killed() && exit.forced, "{exit:?}");
}

#[tokio::test]
async fn killing_a_process_kills_what_it_started() {
    let dir = TempDir::new("processes-").unwrap();
    let mut parent = Process::spawn(
        "parent",
        &mut shell("sleep 1000 & echo child=$!; wait"),
        dir.join("log"),
    )
    .unwrap();
    let line = parent.wait_for_line("child=", SOON).await.unwrap();
    let child = line.trim_start_matches("child=").to_owned();
    assert!(runs(&child));
    assert!(parent.kill().unwrap().was_killed());
    gone(&child).await;
}

const ROLE: &str = "HARNESS_TEST_LEAVES_IT_TO_THE_REAPER";

/// The test process itself is killed with -9, so nothing in it can clean up.
#[tokio::test]
async fn a_killed_test_process_leaves_no_process_and_no_file() {
    if let Some(report) = std::env::var_os(ROLE) {
        let dir = TempDir::new("processes left-").unwrap();
        let process =
            Process::spawn("left", &mut shell("exec sleep 1000"), dir.join("log")).unwrap();
        let text = format!("{}\n{}\n", process.id(), dir.path().display());
        std::fs::write(report, text).unwrap();
        std::future::pending::<()>().await;
    }
    let dir = TempDir::new("processes-").unwrap();
    let report = dir.join("report");
    let mut test = Process::spawn(
        "test process",
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_killed_test_process_leaves_no_process_and_no_file",
            ])
            .env(ROLE, &report),
        dir.join("log"),
    )
    .unwrap();
    let (id, folder) = wait_until("the report", SOON, async || {
        let written = std::fs::read_to_string(&report).map_err(|error| error.to_string())?;
        let mut lines = written.lines().map(str::to_owned);
        let both = lines.next().zip(lines.next());
        both.filter(|_| written.ends_with('\n')).ok_or(written)
    })
    .await
    .unwrap();
    assert!(runs(&id));
    assert!(test.kill().unwrap().was_killed());
    gone(&id).await;
    wait_until("its folder is gone", SOON, async || {
        if std::path::Path::new(&folder).exists() {
            Err(folder.clone())
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
}
