//! A backend that is a process of its own: it says its address in a line,
//! answers `from the backend` to everything, and ends with its standard input.
#![forbid(unsafe_code)]

use std::io::Read as _;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    // Whoever started it may die without a word.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let router = axum::Router::new().fallback(async || "from the backend");
    axum::serve(listener, router).await?;
    Ok(())
}
