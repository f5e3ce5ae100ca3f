//! The web service, the node beside it, and the task that it leaves the work to.
//!
//! The service is given a client and need not know what is behind that: here it is a node in the same
//! process, in tests often none. This node is a cluster of its own. Given a `cluster.toml` with `NodeBuilder::config`, and a database that
//! all can reach, every instance of the service is a node of the same cluster, and tasks outlive the instance
//! that took the request.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use actix_web::dev::ServerHandle;
use actix_web::error::BlockingError;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Query};
use actix_web::{App, HttpResponse, HttpServer, ResponseError, get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinHandle;
use umbel::{Client, ClientError, Context, Node, State};

use crate::database::{Database, DatabaseError, Post};

/// Puts a post into the timelines of all who follow its author. It blocks its thread, as SQLite does.
#[umbel::task(blocking, attempts = 10)]
fn fan_out(db: State<Database>, ctx: Context, post: Post) -> Result<usize, DatabaseError> {
    db.deliver(&post, || !ctx.is_cancelled())
}

/// What is posted.
#[derive(Deserialize)]
struct NewPost {
    author: u32,
    text: String,
}

/// How it is to be delivered.
#[derive(Deserialize)]
struct How {
    queue: Option<String>,
}

/// Takes a post. It is acknowledged when it is safe on the disks of a majority; that it is delivered is
/// waited for only if that is asked for.
#[post("/posts")]
async fn publish(
    client: Data<Client>,
    db: Data<Database>,
    how: Query<How>,
    new: Json<NewPost>,
) -> Result<HttpResponse, Problem> {
    let NewPost { author, text } = new.into_inner();
    // The id of the post and of its task: whoever submits that once more submits it once.
    let id = client.new_id().await?;
    let post = Post { id, author, text };
    if how.queue.as_deref() == Some("no") {
        let rows = web::block(move || db.deliver(&post, || true)).await??;
        return Ok(HttpResponse::Created().json(json!({ "id": id, "rows": rows })));
    }
    fan_out::submit(&client, post).id(id).await?;
    Ok(HttpResponse::Accepted().json(json!({ "id": id })))
}

#[get("/timeline/{follower}")]
async fn timeline(db: Data<Database>, follower: web::Path<u32>) -> Result<HttpResponse, Problem> {
    let posts = web::block(move || db.timeline(*follower)).await??;
    Ok(HttpResponse::Ok().json(posts))
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Blocking(#[from] BlockingError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            // There is no majority, or no room, at the moment.
            Self::Client(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Blocking(_) | Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A node that runs the task, whose data is in `dir`.
pub(crate) async fn node(database: Database, dir: &Path) -> Result<Node, Box<dyn Error>> {
    let node = Node::builder()
        .name("fanout")
        .data(dir)
        .listen(([127, 0, 0, 1], 0).into())
        .state(database)
        .start()
        .await?;
    node.joined().await?;
    Ok(node)
}

/// The service while it runs.
pub(crate) struct Service {
    database: Database,
    client: Client,
    address: SocketAddr,
    server: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

impl Service {
    /// Serves `database` at `address`, and leaves what takes long to `client`.
    pub(crate) fn start(
        database: Database,
        client: Client,
        address: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let (by, db) = (Data::new(client.clone()), Data::new(database.clone()));
        let app = move || {
            let app = App::new().app_data(by.clone()).app_data(db.clone());
            app.service(publish).service(timeline)
        };
        let server = HttpServer::new(app).workers(2).disable_signals().bind(address)?;
        let address = *server.addrs().first().ok_or("it listens nowhere")?;
        let serving = server.run();
        let server = serving.handle();
        Ok(Self { database, client, address, server, serving: tokio::spawn(serving) })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Answers what was asked, and takes nothing any more.
    pub(crate) async fn stop(self) -> Result<(), Box<dyn Error>> {
        self.server.stop(true).await;
        self.serving.await??;
        Ok(())
    }
}
