//! One node: its houses wired to one ledger, and two doors, one for people and one for peers.
//!
//! Knows every house; no house knows it. The path: configuration → keys → database → ledger → houses → doors → drain.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use qianshou_exchange::{Exchange, Ground};
use qianshou_kernel::{
    audit::{Audit, AuditDesk, Line, Log, Signer, Watch},
    clock::Clock,
    config::{Config, Loaded, ms},
    db::{Db, Hold, Levels, Migration},
    erasure::{Copies, journal::Journal},
    error::{Error, Reason, Result},
    files::{private_file, private_folder},
    follow::Feed,
    id::{Area, Ids},
    identity::{CachedTokens, FourEyes, NodeKeys, StoredTokens, TokenDesk, card},
    kind::{Kind, Kinds, Misses, Verbs},
    ledger::{self, Ledger},
    person::{Domain, Secret, Secrets},
    server::{self, Listener, PeerSet, Troubles},
};
use qianshou_pairing::Pairing;
use qianshou_proto::{
    audit::v1::audit_service_server::{AuditServiceServer, SERVICE_NAME as AUDIT},
    exchange::v1::exchange_service_server::SERVICE_NAME as PEER,
    identity::v1::identity_service_server::{IdentityServiceServer, SERVICE_NAME as IDENTITY},
    ledger::v1::ledger_service_server::{LedgerServiceServer, SERVICE_NAME as LEDGER},
};
use qianshou_registry::{Registry, store::List};
use qianshou_reporting::Reporting;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};

use crate::{
    certificates, erase,
    roles::{House, Roles},
    verify,
};

/// An open node: its database stands at this binary's level, its doors are still shut.
pub struct Node {
    config: Config,
    alone: Option<Hold>,
    roles: Roles,
    keys: Arc<NodeKeys>,
    secrets: Arc<Secrets>,
    ledger: Ledger,
    tokens: StoredTokens,
    ids: Ids,
    audit: Audit,
    /// SHA-256 of the configuration as it may be shown.
    settings: String,
    /// The journal of erasures.
    journal: Journal,
}

/// A node that serves.
pub struct Serving {
    /// Where people call.
    pub api: SocketAddr,
    /// Where peers call, if the exchange is here.
    pub peers: Option<SocketAddr>,
    /// Its counting house, for whoever checks it; it counts only where it is served.
    pub reporting: Reporting,
    /// Its audit, for whoever writes a line beside it.
    pub audit: Audit,
    _alone: Option<Hold>,
    doors: JoinSet<Result<()>>,
    cancel: CancellationToken,
}

/// Makes a node's folder: configuration, keys, database. Answers the first administrator's token, which is shown once.
pub async fn init(directory: &Path, province: &str, name: Option<&str>, database: Option<&str>) -> Result<String> {
    let file = directory.join("node.toml");
    if file.exists() {
        let file = file.display();
        let zh = format!("这里已有节点；启动它：qianshou serve --config {file}，或另选一个文件夹");
        let en = format!(
            "a node stands here already; start it with `qianshou serve --config {file}`, or name another folder"
        );
        return Err(Error::told("DIR", Reason::Duplicate, zh, en));
    }
    let code = Area::parse(province).ok_or_else(|| Error::refused("--province", Reason::Malformed, "00, 35, 64 …"))?;
    let name = name.map_or_else(|| authority_of(code.as_str()), str::to_owned);
    let database = database.unwrap_or("sqlite:qianshou.db");
    let quoted = |text: &str| toml_text(text);
    let text = format!(
        "# This node's own settings; everything else stands in the defaults: `qianshou config show --origin`.\n\
         [node]\ncode = {}\nname = {}\n\n[database]\nurl = {}\n",
        quoted(code.as_str()),
        quoted(&name),
        quoted(database)
    );
    private_folder(directory)?;
    let draft = directory.join("node.toml.draft");
    // What is left of an attempt that failed.
    drop(std::fs::remove_file(&draft));
    private_file(&draft, text.as_bytes())?;
    let mut loaded = Config::load(&draft)?;
    let apart = loaded.config.keys.seal_directory.display().to_string();
    if !apart.is_empty() {
        // Whoever starts it later without this variable looks in the right place, too.
        std::fs::remove_file(&draft)?;
        private_file(&draft, format!("{text}\n[keys]\nseal_directory = {}\n", quoted(&apart)).as_bytes())?;
        loaded = Config::load(&draft)?;
    }
    let names = &loaded.config.api.names;
    let clock = Clock::system();
    NodeKeys::create_apart(&loaded.keys_directory(), &loaded.seal_directory(), code.as_str(), names, &clock)?;
    let node = Node::open_or_make(loaded, Clock::system(), None).await?;
    let secret = node.tokens.administrator("init").await?;
    node.ledger.db().close().await;
    // Last, so that a folder with a node.toml is a whole node.
    std::fs::rename(&draft, &file)?;
    Ok(secret)
}

fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn authority_of(code: &str) -> String {
    if code == Area::NATION { "全国".to_owned() } else { format!("{code} 社会工作主管部门") }
}

/// Revokes every token of a database that was put back, and answers the secret of a new administrator's.
pub(crate) async fn only_administrator(db: &Db, config: &Config) -> Result<String> {
    let clock = Clock::system();
    let tokens = StoredTokens::new(db.clone(), clock.clone(), Ids::random(clock), &config.node.code, config);
    tokens.replace_all("restore").await
}

/// Every house's kinds: whichever houses a process serves, it indexes and looks up all of them.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    [&qianshou_registry::domain::KINDS[..], &qianshou_pairing::domain::KINDS].concat()
}

/// Every house's tables, in the order they are made.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    let houses = [
        ledger::MIGRATIONS,
        qianshou_registry::MIGRATIONS,
        qianshou_pairing::MIGRATIONS,
        qianshou_exchange::MIGRATIONS,
        qianshou_reporting::MIGRATIONS,
    ];
    houses.concat()
}

/// Brings the chain and the index of every kind to this binary's level, in a database that holds a ledger.
pub async fn reindex(db: &Db) -> Result<()> {
    ledger::salt(db, |position| tracing::info!(position, "the chain is salted up to here")).await?;
    let count =
        ledger::reindex(db, &Kinds::new(kinds()), |count| tracing::info!(count, "records are indexed again")).await?;
    if count > 0 {
        tracing::info!(count, "every record is indexed as this program does");
    }
    Ok(())
}

/// What tables at these levels lack: house, from, to.
#[must_use]
pub fn pending(levels: &Levels) -> Vec<(&'static str, i64, i64)> {
    let had = |house: &str| levels.get(house).copied().unwrap_or(0);
    let newest: BTreeMap<_, _> = migrations().iter().map(|step| (step.house, step.version)).collect();
    newest.into_iter().map(|(house, to)| (house, had(house), to)).filter(|(_, from, to)| from < to).collect()
}

/// A house whose tables are at a level that this program does not know.
#[must_use]
pub fn later(levels: &Levels) -> Option<String> {
    let known: BTreeMap<_, _> = migrations().iter().map(|step| (step.house, step.version)).collect();
    let beyond = |(house, level): &(&String, &i64)| known.get(house.as_str()).is_none_or(|newest| *newest < **level);
    levels.iter().find(beyond).map(|(house, level)| format!("{house} {level}"))
}

/// The database of a node that stands already, for a command beside it.
///
/// # Errors
/// A refusal if its file is not there; it is not made here.
pub async fn database(loaded: &Loaded) -> Result<Db> {
    Db::open(&loaded.database_url()?, &loaded.directory, 1, 2).await
}

/// The tokens of a node that stands already, for whoever holds its folder, whether it serves or not; and its ledger, by which its
/// processes hear of a change.
///
/// # Errors
/// A refusal if the tables are not at this program's level.
pub async fn tokens(loaded: &Loaded, clock: Clock) -> Result<(StoredTokens, Ledger)> {
    let (ledger, config) = (ledger(loaded, clock.clone()).await?, &loaded.config);
    let db = ledger.db().clone();
    Ok((StoredTokens::new(db, clock.clone(), Ids::random(clock), &config.node.code, config), ledger))
}

/// The ledger of a node that stands already, for a command beside it.
///
/// # Errors
/// A refusal if the tables are not at this program's level.
pub async fn ledger(loaded: &Loaded, clock: Clock) -> Result<Ledger> {
    let db = database(loaded).await?;
    if !pending(&db.levels().await?).is_empty() {
        let zh = "数据表尚未升级；请先执行 qianshou migrate --config …";
        let en = "the tables are not at this program's level: run `qianshou migrate --config …` first";
        return Err(Error::told("--config", Reason::ContractLevel, zh, en));
    }
    let kinds = Arc::new(Kinds::new(kinds()));
    Ledger::open(db, &loaded.config.node.code, kinds, clock, ledger::Limits::default()).await
}

impl Node {
    /// Opens keys and database, brings the tables to this binary's level and, where the registry is, puts the embedded
    /// divisions into the ledger.
    /// `seed` makes ids repeatable, for tests.
    ///
    /// # Errors
    /// A refusal if the keys can be read by others, if the database is not there or holds no node, or if another process serves it.
    pub async fn open(loaded: Loaded, clock: Clock, seed: Option<u64>) -> Result<Self> {
        Self::begin(loaded, clock, seed, false).await
    }

    /// As [`Node::open`], on a database that holds nothing yet or, if it is a file, is not there yet.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub async fn open_or_make(loaded: Loaded, clock: Clock, seed: Option<u64>) -> Result<Self> {
        Self::begin(loaded, clock, seed, true).await
    }

    async fn begin(loaded: Loaded, clock: Clock, seed: Option<u64>, may_make: bool) -> Result<Self> {
        NodeKeys::must_be_private(&loaded)?;
        let keys = Arc::new(NodeKeys::of(&loaded)?);
        let url = loaded.database_url()?;
        let (settings, journal) = (loaded.digest(), loaded.journal());
        let (config, directory) = (loaded.config, loaded.directory);
        let roles = Roles::parse(&config.roles.serve)?;
        if keys.node != config.node.code {
            return Err(Error::refused("node.code", Reason::NotHome, &keys.node));
        }
        let (readers, connections) = (config.database.sqlite_readers, config.database.postgres_connections);
        let db = match may_make {
            true => Db::create(&url, &directory, readers, connections).await?,
            false => Db::open(&url, &directory, readers, connections).await?,
        };
        let alone = roles.alone(&db)?;
        if !may_make && db.levels().await?.is_empty() {
            return Err(holds_no_node());
        }
        db.migrate(&migrations()).await?;
        let kinds = Arc::new(Kinds::new(kinds()));
        let limits = ledger::Limits {
            group_max_commands: config.ledger.group_max_commands,
            group_max_writes: config.ledger.group_max_records,
            queue_max: config.ledger.queue_max_commands,
            poll_ms: config.ledger.poll_ms,
        };
        let ledger = Ledger::open(db.clone(), &config.node.code, kinds, clock.clone(), limits).await?;
        if roles.has(House::Registry) || roles.has(House::Exchange) {
            reindex(&db).await?;
        }
        if roles.has(House::Registry) {
            qianshou_registry::store::bootstrap(&ledger, &config.divisions.bootstrap_areas, |_| ()).await?;
        }
        let ids = seed.map_or_else(|| Ids::random(clock.clone()), |seed| Ids::seeded(clock.clone(), seed));
        let secrets = Secrets::new(&keys.seal, &keys.blind).map_err(|e| Error::Broken(Box::new(e)))?;
        let audit = Audit::open(db.clone(), keys.clone(), clock.clone(), config.audit);
        let tokens = StoredTokens::new(db, clock, ids.clone(), &config.node.code, &config);
        if let Err(error) = tokens.give_ends().await {
            tracing::warn!(%error, "old tokens still have no end");
        }
        Ok(Self {
            config,
            alone,
            roles,
            keys,
            secrets: Arc::new(secrets),
            ledger,
            tokens,
            ids,
            audit,
            settings,
            journal,
        })
    }

    /// A fresh administrator's token, for whoever holds the node's folder.
    pub async fn administrator(&self, display_name: &str) -> Result<String> {
        self.tokens.administrator(display_name).await
    }

    /// The ledger, for whoever checks it.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The node's certificate authority, for callers to trust.
    #[must_use]
    pub fn ca_path(&self) -> &Path {
        &self.keys.ca_path
    }

    fn verbs(&self) -> Verbs {
        Verbs {
            ledger: self.ledger.clone(),
            ids: self.ids.clone(),
            areas: Arc::new(List::new(self.ledger.clone())),
            secrets: self.secrets.clone(),
            batch_max_records: self.config.limits.batch_max_records,
            list_page_records: self.config.limits.list_page_records,
            list_page_max_records: self.config.limits.list_page_max_records,
            query_max_chars: self.config.limits.query_max_chars,
            text_max_chars: self.config.limits.text_max_chars,
            record_max_bytes: self.config.limits.record_max_bytes,
            patience: ms(self.config.ledger.wait_max_ms),
            misses: Misses::new(self.config.limits.lookup_misses_per_minute),
        }
    }

    fn four_eyes(&self) -> FourEyes {
        let (db, clock) = (self.ledger.db().clone(), self.ledger.clock().clone());
        FourEyes::new(db, clock, self.ids.clone(), &self.config)
    }

    async fn exchange(
        &self,
        peers: PeerSet,
        troubles: Troubles,
        address: SocketAddr,
        cancel: CancellationToken,
    ) -> Result<Exchange> {
        let config = &self.config;
        let bound = || format!("https://{address}");
        let advertised = Some(config.peers.address.clone()).filter(|address| !address.is_empty()).unwrap_or_else(bound);
        Exchange::open(Ground {
            ledger: self.ledger.clone(),
            ids: self.ids.clone(),
            keys: self.keys.clone(),
            secrets: self.secrets.clone(),
            peers,
            troubles,
            card: card(&self.keys, &config.node.name, &advertised),
            config: config.exchange.clone(),
            text_max_chars: config.limits.text_max_chars,
            record_max_bytes: config.limits.record_max_bytes,
            four_eyes: self.four_eyes(),
            cancel,
        })
        .await
    }

    /// Opens the doors, both or the people's, and starts the heartbeats of the houses that are here.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<Serving> {
        let (config, roles) = (&self.config, &self.roles);
        let cancel = shutdown.child_token();
        let cached = Arc::new(CachedTokens::new(Arc::new(self.tokens.clone()), &config.limits));
        let people = Listener::people(config.api.listen, &self.keys, cached.clone()).await?;
        let away = roles.away().map(House::service).collect();
        let people = people.allow(&config.api.allowed_origins).audited(Watch { audit: self.audit.clone(), away });
        let api_address = people.address();
        let reporting = Reporting::new(self.ledger.clone(), ms(config.ledger.wait_max_ms))?;

        let largest = config.limits.message_max_bytes;
        macro_rules! bounded {
            ($service:expr) => {
                $service
                    .max_decoding_message_size(largest)
                    .accept_compressed(CompressionEncoding::Zstd)
                    .send_compressed(CompressionEncoding::Zstd)
            };
        }
        let feed = Feed { ledger: self.ledger.clone(), cancel: cancel.clone() };
        let words = self.ledger.words();
        tokio::spawn({
            let (cached, cancel) = (cached.clone(), cancel.clone());
            async move { cancel.run_until_cancelled(cached.hear(words)).await }
        });
        let desk = TokenDesk {
            tokens: self.tokens.clone(),
            cache: cached,
            ledger: self.ledger.clone(),
            areas: Arc::new(List::new(self.ledger.clone())),
            four_eyes: self.four_eyes(),
        };
        let mut routes = Routes::new(bounded!(LedgerServiceServer::new(feed)))
            .add_service(bounded!(IdentityServiceServer::new(desk)))
            .add_service(bounded!(AuditServiceServer::new(AuditDesk { audit: self.audit.clone() })));
        let troubles = Troubles::default();
        let mut doors = JoinSet::new();
        let mut peers = None;
        if roles.has(House::Registry) {
            let domains = self.keys.domains.iter();
            let domain = |(name, key): (&String, &[u8; 32])| Some(Domain::new(name, &Secret::from_bytes(key).ok()?));
            let mut copies = vec![];
            copies.extend(roles.has(House::Exchange).then(|| erase::pages(&self.ledger)));
            copies.extend(roles.has(House::Reporting).then(|| Arc::new(reporting.clone()) as Arc<dyn Copies>));
            let secrets = Some(self.secrets.clone());
            let eraser = erase::eraser(&self.ledger, &self.ids, secrets, self.journal.clone(), copies)?;
            erase::begin(&eraser, cancel.clone()).await?;
            let registry = Registry::new(self.verbs(), domains.filter_map(domain).collect(), eraser);
            registry.start(cancel.clone());
            routes = routes.add_service(bounded!(registry.service()));
            tokio::spawn(forget_requests(self.ledger.clone(), config.ledger.request_keep_days, cancel.clone()));
            tokio::spawn(purge_audit(self.audit.clone(), cancel.clone()));
        }
        if roles.has(House::Pairing) {
            routes = routes.add_service(bounded!(Pairing::new(self.verbs(), self.config.pairing).service()));
        }
        if roles.has(House::Reporting) {
            routes = routes.add_service(bounded!(reporting.service()));
            reporting.start(cancel.clone());
        }
        if roles.has(House::Exchange) {
            let peer_set = PeerSet::new(self.ledger.clock().clone());
            let door = Listener::peers(config.peers.listen, &self.keys, peer_set.clone()).await?;
            let door = door.audited(Watch { audit: self.audit.clone(), away: vec![] });
            peers = Some(door.address());
            let exchange = self.exchange(peer_set, troubles.clone(), door.address(), cancel.clone()).await?;
            routes = routes.add_service(bounded!(exchange.admin_service()));
            let (peer_routes, health) = server::with_health(Routes::new(exchange.peer_service()));
            troubles.clone().tell(health, vec![PEER], cancel.clone()).await;
            let tasks = exchange.start_tasks();
            doors.spawn(async move { tasks.await.map_err(|e| Error::Broken(Box::new(e))) });
            let (limits, cancel) = (config.limits.clone(), cancel.clone());
            doors.spawn(async move { server::serve(door, peer_routes, &limits, cancel).await });
        }
        watch_over(&self.ledger, config.database.probe_ms, &troubles, &cancel);
        let (keys, clock) = (self.keys.clone(), self.ledger.clock().clone());
        tokio::spawn(certificates::watch(keys, clock, troubles.clone(), cancel.clone()));
        let routes = roles.gateway(routes, &config.neighbours, &std::fs::read(&self.keys.ca_path)?)?;
        let (routes, health) = server::with_health(server::with_reflection(routes)?);
        // Where houses have processes of their own, the exchange's goes round for all, and they hear what it found.
        let first = roles.has(House::Exchange);
        let parts = if first { verify::parts(self.ledger.db(), &Signer::from(&*self.keys)) } else { vec![] };
        tokio::spawn(verify::go_round(
            self.ledger.clone(),
            parts,
            config.ledger.clone(),
            troubles.clone(),
            cancel.clone(),
        ));
        if first {
            tokio::spawn(verify::sign_heads(self.ledger.clone(), self.keys.clone(), cancel.clone()));
        }
        let services = roles.here().map(House::service).chain([LEDGER, IDENTITY, AUDIT]).collect();
        troubles.tell(health, services, cancel.clone()).await;
        let limits = config.limits.clone();
        doors.spawn({
            let cancel = cancel.clone();
            async move { server::serve(people, routes, &limits, cancel).await }
        });
        self.begin_audit().await;
        tracing::info!(node = %config.node.code, api = %api_address, ?peers, ?roles, "serving");
        let audit = self.audit.clone();
        Ok(Serving { api: api_address, peers, reporting, audit, _alone: self.alone, doors, cancel })
    }

    /// Writes down which program serves with which configuration. A node whose disk is full starts all the same, to be helped.
    async fn begin_audit(&self) {
        let detail = format!("version={} settings={}", env!("CARGO_PKG_VERSION"), self.settings);
        let houses = self.roles.here().map(House::as_str).collect::<Vec<_>>().join(",");
        let line = Line::of_node(self.audit.clock().now_ms(), "serve", houses, detail);
        if let Err(error) = self.audit.write(Log::Acts, line).await {
            tracing::warn!(%error, "the audit does not say that this process serves");
        }
    }
}

/// Once an hour, purges what the audit need not keep any more.
async fn purge_audit(audit: Audit, cancel: CancellationToken) {
    let mut beat = tokio::time::interval(Duration::from_secs(3600));
    while cancel.run_until_cancelled(beat.tick()).await.is_some() {
        match audit.purge().await {
            Ok(0) => {}
            Ok(lines) => tracing::info!(lines, "the audit was purged as configured"),
            Err(error) => tracing::warn!(%error, "the audit could not be purged"),
        }
    }
}

/// Finds out whether commits last, and lets health say so.
fn watch_over(ledger: &Ledger, every_ms: u64, troubles: &Troubles, cancel: &CancellationToken) {
    let (db, troubles, cancel) = (ledger.db().clone(), troubles.clone(), cancel.clone());
    let mut away = db.away();
    tokio::spawn({
        let cancel = cancel.clone();
        async move { db.watch_over(ms(every_ms), cancel).await }
    });
    tokio::spawn(cancel.run_until_cancelled_owned(async move {
        loop {
            troubles.set("database", away.borrow_and_update().map(|away| away.to_string()));
            if away.changed().await.is_err() {
                return;
            }
        }
    }));
}

pub(crate) fn holds_no_node() -> Error {
    let zh = "数据库是空的，其中没有节点（database.url 是否正确？数据卷是否已挂载？）；请从备份恢复（qianshou restore），新节点请用 qianshou init";
    let en = "the database is empty: there is no node in it (is database.url right, is its volume mounted?). Restore a backup (`qianshou \
              restore`), or begin a new node with `qianshou init`";
    Error::told("database.url", Reason::NotFound, zh, en)
}

/// Once an hour, forgets answers that nobody will ask for again.
async fn forget_requests(ledger: Ledger, keep_days: u32, cancel: CancellationToken) {
    let mut beat = tokio::time::interval(Duration::from_secs(3600));
    while cancel.run_until_cancelled(beat.tick()).await.is_some() {
        let before = ledger.clock().now_ms() - i64::from(keep_days) * 86_400_000;
        if let Err(error) = ledger.forget_requests(before).await {
            tracing::warn!(%error, "old requests are still kept");
        }
    }
}

impl Serving {
    /// Waits until the node has drained.
    pub async fn finished(mut self) -> Result<()> {
        while let Some(door) = self.doors.join_next().await {
            door.map_err(|e| Error::Broken(Box::new(e)))??;
        }
        // What was counted since the last beat; if it cannot be written, its cause is in the log.
        drop(self.audit.flush().await);
        Ok(())
    }

    /// Drains and waits.
    pub async fn stop(self) -> Result<()> {
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.finished()).await.map_err(|e| Error::Broken(Box::new(e)))?
    }
}
