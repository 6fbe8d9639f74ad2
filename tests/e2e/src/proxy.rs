//! A way between the operator and the API server that can be cut.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::Stage;

/// Forwards connections to the API server until it is cut.
pub struct Proxy {
    address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Proxy {
    /// A way to the stage's API server.
    pub async fn start(stage: &Stage) -> Result<Self> {
        let server = stage.api_server();
        let target = server
            .strip_prefix("https://")
            .context("the API server speaks https")?
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (whole, way) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let (target, mut way) = (target.clone(), way.clone());
                tokio::spawn(async move {
                    // Cut: accepted and never answered, as in a network that
                    // drops what is sent.
                    until(&mut way, true).await;
                    let Ok(mut server) = TcpStream::connect(&target).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut caller, &mut server) => {}
                        () = until(&mut way, false) => std::future::pending::<()>().await,
                    }
                });
            }
        });
        Ok(Self { address, whole })
    }

    /// Lets nothing through any more; nobody is told.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// The kubeconfig with this way to the API server.
    pub fn kubeconfig(&self, stage: &Stage, original: &Path) -> Result<PathBuf> {
        let text = std::fs::read_to_string(original)?;
        let here = format!("https://{}", self.address);
        let server = stage.api_server().trim_end_matches('/');
        let changed = text.replace(server, &here);
        anyhow::ensure!(changed != text, "the kubeconfig names {server}");
        let path = stage.dir().join("proxied.kubeconfig");
        std::fs::write(&path, changed)?;
        Ok(path)
    }
}

/// Waits until the way is whole, or is not.
async fn until(state: &mut watch::Receiver<bool>, wanted: bool) {
    // The other end goes only with the test.
    let _ = state.wait_for(|whole| *whole == wanted).await;
}
