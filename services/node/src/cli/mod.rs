//! The command line. Exit codes: 0 done; 1 refused or failed, with the reason and the next step on standard error; 2 usage;
//! 3 some rows refused. Commands that talk to a node do so by its RPC API, as everybody else.

mod banner;
mod doctor;
mod export;
mod friendly;
mod import;
mod keep;
mod key;
mod local;
mod machine;
mod remote;
mod secret;
pub(crate) mod show;
mod terms;
mod verify;

pub(crate) use terms::clause;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use qianshou_kernel::{
    error::{Error, Reason, Result},
    line::Line,
};

/// Exchange between authorities that own their records (牵手).
#[derive(Parser)]
#[command(name = "qianshou", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Three nodes (Fujian 35, Ningxia 64, the nation 00), sample data, agreements, exchange, the national table.
    Demo(crate::demo::Options),
    /// Makes a node: configuration, keys, database. Prints the first administrator's token once.
    Init(local::Init),
    /// Serves a node; prints `ready https://…` when it does.
    Serve(local::Serve),
    /// Shows the configuration in force.
    Config {
        #[command(subcommand)]
        command: local::ConfigCommand,
    },
    /// Adds a pseudonym domain's key to a node (stop it first).
    Domain {
        #[command(subcommand)]
        command: local::DomainCommand,
    },
    /// A node's keys and certificates, renewed or replaced at the machine (stop the node first).
    Key {
        #[command(subcommand)]
        command: key::KeyCommand,
    },
    /// Takes a spreadsheet, row by row; exits 3 if some rows were refused.
    Import(import::Options),
    /// Writes what a node holds as a spreadsheet, or a template to fill in.
    Export(export::Options),
    /// Looks at a node and says what is wrong, and the command that mends it. Exits 1 if anything fails.
    Doctor(doctor::Doctor),
    /// Verifies that what a node holds is what was written: chain, pages, receipts. Exits 1 at the first that does not hold.
    Verify(verify::Verify),
    /// Copies a node into a folder, while it serves: database, keys, configuration.
    Backup(keep::Backup),
    /// Makes a node from a backup, elsewhere and in a new epoch.
    Restore(keep::Restore),
    /// Brings a node's tables to this program's level; `serve` does so too.
    Migrate(keep::Migrate),
    /// The ledger's epoch: one life of its history.
    Epoch {
        #[command(subcommand)]
        command: keep::EpochCommand,
    },
    /// Other nodes: their cards, added after comparing fingerprints.
    Peer {
        #[command(subcommand)]
        command: remote::Peer,
    },
    /// Agreements: what crosses, to whom, for what.
    Agreement {
        #[command(subcommand)]
        command: remote::Agreement,
    },
    /// Streams: what an agreement sends one way.
    Stream {
        #[command(subcommand)]
        command: remote::Stream,
    },
    /// Entries that were set aside.
    Quarantine {
        #[command(subcommand)]
        command: remote::Quarantine,
    },
    /// Proposals: what one area asks another to let it write.
    Proposal {
        #[command(subcommand)]
        command: remote::Proposal,
    },
    /// Tokens: who may call this node.
    Token {
        #[command(subcommand)]
        command: remote::Token,
    },
    /// Acts that open a door and wait for a second administrator (`[security] four_eyes`).
    Approval {
        #[command(subcommand)]
        command: remote::Approval,
    },
    /// The audit: who did what, when, from where, with which outcome.
    Audit {
        #[command(subcommand)]
        command: remote::Audit,
    },
    /// Erases what a node has of a person; what was counted stays counted. It cannot be undone.
    Erase(remote::Erase),
    /// Indicators for an area at a date or over a period.
    Table(remote::Table),
    /// Prints what completes this command line in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Which node to talk to.
#[derive(Args, Clone)]
pub(crate) struct Connection {
    /// The node's address, as `serve` printed it.
    #[arg(long, env = "QIANSHOU_NODE", global = true)]
    node: Option<String>,
    /// A token of that node: itself, `@FILE` that holds it, or `-` to read it from standard input.
    #[arg(long, env = secret::TOKEN, hide_env_values = true, global = true)]
    token: Option<String>,
    /// A file that holds a token of that node, as `--token @FILE`.
    #[arg(long, env = "QIANSHOU_TOKEN_FILE", global = true)]
    token_file: Option<PathBuf>,
    /// The node's certificate authority file; `init` prints its path.
    #[arg(long, env = "QIANSHOU_CA", global = true)]
    ca: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Connection {
    /// Whether a node was named at all.
    fn is_given(&self) -> bool {
        self.node.is_some()
    }

    fn line(&self) -> Result<Line> {
        let missing = |flag: &str, variable: &str| Error::refused(flag, Reason::Required, variable);
        let node = self.node.as_deref().ok_or_else(|| missing("--node (QIANSHOU_NODE)", ""))?;
        let token = secret::read(self.token.as_deref(), self.token_file.as_deref())?;
        let token = token.ok_or_else(|| missing("--token (QIANSHOU_TOKEN, QIANSHOU_TOKEN_FILE)", ""))?;
        let ca = self.ca.as_deref().ok_or_else(|| missing("--ca (QIANSHOU_CA)", ""))?;
        let pem = std::fs::read(ca)
            .map_err(|cause| Error::refused("--ca", Reason::NotFound, format!("{}: {cause}", ca.display())))?;
        Line::to(node, &pem, Some(token))
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    secret::hide();
    let cli = Cli::parse();
    // Fails only where a provider stands already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("qianshou: {cause}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("qianshou: {}", show::seen(&error));
            ExitCode::from(1)
        }
    }
}

async fn dispatch(command: Command) -> Result<ExitCode, String> {
    let text = |error: Error| friendly::failure(&error);
    match command {
        Command::Demo(options) => return crate::demo::run(options).await.map_err(text),
        Command::Init(init) => init.run().await.map_err(text)?,
        Command::Serve(serve) => serve.run().await.map_err(text)?,
        Command::Config { command } => command.run().map_err(text)?,
        Command::Domain { command } => command.run().await.map_err(text)?,
        Command::Key { command } => command.run().await.map_err(text)?,
        Command::Import(options) => return options.run().await,
        Command::Export(options) => return options.run().await,
        Command::Doctor(doctor) => return doctor.run().await.map_err(text),
        Command::Verify(verify) => return verify.run().await.map_err(text),
        Command::Backup(backup) => backup.run().await.map_err(text)?,
        Command::Restore(restore) => restore.run().await.map_err(text)?,
        Command::Migrate(migrate) => migrate.run().await.map_err(text)?,
        Command::Epoch { command } => command.run().await.map_err(text)?,
        Command::Peer { command } => command.run().await?,
        Command::Agreement { command } => command.run().await?,
        Command::Stream { command } => command.run().await?,
        Command::Quarantine { command } => command.run().await?,
        Command::Proposal { command } => command.run().await?,
        Command::Token { command } => command.run().await?,
        Command::Approval { command } => command.run().await?,
        Command::Audit { command } => command.run().await?,
        Command::Erase(erase) => erase.run().await?,
        Command::Table(table) => table.run().await?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "qianshou", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}
