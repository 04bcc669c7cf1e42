//! What `serve` tells somebody at a terminal; programs read standard output, which stays as it was promised.

use std::io::IsTerminal as _;

use qianshou_kernel::config::Loaded;

use crate::node::Serving;

/// Whose node this is, kept for when it serves.
pub(super) struct Banner {
    name: String,
    code: String,
    config: String,
    ca: String,
}

impl Banner {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let shown = |path: std::path::PathBuf| path.display().to_string();
        Self {
            name: loaded.config.node.name.clone(),
            code: loaded.config.node.code.clone(),
            config: shown(loaded.directory.join("node.toml")),
            ca: shown(loaded.keys_directory().join("ca.pem")),
        }
    }

    /// On a terminal only.
    pub(super) fn show(&self, serving: &Serving) {
        if std::io::stderr().is_terminal() {
            let peers = serving.peers.map(|peers| format!("\n\x20 peers  节点端口  https://{peers}"));
            eprintln!("{}", self.text(&serving.api.to_string(), &peers.unwrap_or_default()));
        }
    }

    fn text(&self, api: &str, peers: &str) -> String {
        let Self { name, code, config, ca } = self;
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "牵手 Qianshou {version}: {name} ({code})\n\
             \x20 people 用户端口  https://{api}{peers}\n\
             下一步 | next, elsewhere:\n\
             \x20 export QIANSHOU_NODE=https://{api} QIANSHOU_CA={ca} QIANSHOU_TOKEN=qst_…\n\
             \x20 qianshou peer card -o {code}.card\n\
             \x20 qianshou doctor --config {config}\n\
             Ctrl-C 停止 | stops it"
        )
    }
}
