//! A server that webhooks are posted to: every run of such a task is seen here, from outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::namespace::Namespace;

/// The tokens that a task was posted with, in their order.
pub type Posts = BTreeMap<String, Vec<String>>;

/// The server, which goes with its owner.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    posts: Arc<Mutex<Posts>>,
    ending: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How long a post takes: so that some are always under way when something happens to a node.
const POST: Duration = Duration::from_millis(100);
/// The longest request that is read.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;

impl Sink {
    /// Listens at `address` in the network of whoever asks, or in `namespace`.
    ///
    /// # Panics
    /// When it cannot listen there.
    #[must_use]
    pub fn listen(address: SocketAddr, namespace: Option<&Namespace>) -> Self {
        let network = namespace.map(|own| File::open(own.path()).expect("it is there"));
        // A socket belongs to the network in which its thread was when it was made.
        let made = thread::spawn(move || {
            if let Some(network) = network {
                setns(network, CloneFlags::CLONE_NEWNET).expect("it may enter");
            }
            TcpListener::bind(address).expect("the port is free")
        });
        let listener = made.join().expect("it listens");
        let address = listener.local_addr().expect("it listens");
        let posts = Arc::new(Mutex::new(Posts::new()));
        let (ending, ended) = oneshot::channel();
        let thread = thread::spawn({
            let posts = Arc::clone(&posts);
            move || serve(listener, &posts, ended)
        });
        Self { address, posts, ending: Some(ending), thread: Some(thread) }
    }

    /// What the configuration says of a task called `name` that is posted here.
    #[must_use]
    pub fn declaration(&self, name: &str) -> String {
        format!(
            "[tasks.{name}]\nwebhook = \"http://{}/{name}\"\nallow_private = true\n\
             attempts = 1000\nbackoff_max = \"5s\"\ntime_limit = \"10s\"\n",
            self.address
        )
    }

    /// Looks at all that was posted by now.
    pub fn posts<T>(&self, look: impl FnOnce(&Posts) -> T) -> T {
        look(&self.posts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.ending.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been told.
            drop(thread.join());
        }
    }
}

fn serve(listener: TcpListener, posts: &Arc<Mutex<Posts>>, ended: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a thread can have one");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("it is a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
        let accepting = async {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, Arc::clone(posts)));
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = ended => {}
        }
    });
}

/// Answers one request after the other, until something is wrong with one.
async fn answer(stream: TcpStream, posts: Arc<Mutex<Posts>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok().filter(|bytes| *bytes <= REQUEST_BYTES_MAX)?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let posted: Value = serde_json::from_slice(&body).ok()?;
        let (id, token) = (posted["id"].as_str()?.to_owned(), posted["token"].as_str()?.to_owned());
        posts.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().push(token);
        tokio::time::sleep(POST).await;
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nnull";
        stream.get_mut().write_all(answer).await.ok()?;
    }
}
