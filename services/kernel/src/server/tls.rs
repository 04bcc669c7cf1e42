//! How both ends of a connection know each other. People's programs trust our certificate authority; peers trust exactly
//! one key, whose owner proves in the handshake that it is theirs, in whatever certificate that holds today by the node's clock.
//!
//! Sessions are never resumed between peers: a resumed session would show no certificate.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    version::TLS13,
};

use super::{PeerSet, peers::pin};
use crate::{
    clock::Clock,
    error::{Error, Reason, Result},
    identity::{NodeKeys, TlsIdentity, validity_ms},
};

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The people's door.
pub(super) fn people(keys: &NodeKeys) -> Result<ServerConfig> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(broken)?;
    let TlsIdentity { chain, key } = &keys.server;
    let mut config = builder.with_no_client_auth().with_single_cert(chain.clone(), key.clone_key()).map_err(broken)?;
    config.alpn_protocols = vec![H2.into(), HTTP1.into()];
    Ok(config)
}

/// The peers' door.
pub(super) fn peers(keys: &NodeKeys, peers: PeerSet) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(broken)?;
    let TlsIdentity { chain, key } = &keys.peer;
    let clock = peers.clock().clone();
    let verifier = Arc::new(Pinned { provider: provider(), accepted: Accepted::AnyOf(peers), clock });
    let builder = builder.with_client_cert_verifier(verifier);
    let mut config = builder.with_single_cert(chain.clone(), key.clone_key()).map_err(broken)?;
    config.alpn_protocols = vec![H2.into()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A client that trusts a certificate authority and nothing else.
pub(crate) fn trusting(ca_pem: &[u8]) -> Result<ClientConfig> {
    let refused = || Error::refused("ca", Reason::Malformed, "PEM");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.map_err(|_| refused())?).map_err(|_| refused())?;
    }
    if roots.is_empty() {
        return Err(refused());
    }
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(broken)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![H2.into()];
    Ok(config)
}

/// A client that shows our peer certificate and accepts a server's with the key of exactly this one.
pub(crate) fn pinning(keys: &NodeKeys, certificate: &[u8], clock: &Clock) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(broken)?;
    let accepted = Accepted::One(pin(certificate).to_vec());
    let verifier = Arc::new(Pinned { provider: provider(), accepted, clock: clock.clone() });
    let TlsIdentity { chain, key } = &keys.peer;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(broken)?;
    config.alpn_protocols = vec![H2.into()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn broken(cause: TlsError) -> Error {
    Error::Broken(Box::new(cause))
}

/// Accepts certificates with a pinned key that hold at this instant, whatever else is written in them; that the other end holds the key is
/// checked as ever.
#[derive(Debug)]
struct Pinned {
    provider: Arc<CryptoProvider>,
    accepted: Accepted,
    clock: Clock,
}

#[derive(Debug)]
enum Accepted {
    AnyOf(PeerSet),
    One(Vec<u8>),
}

impl Pinned {
    fn accept(&self, certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
        let pinned = match &self.accepted {
            Accepted::AnyOf(peers) => peers.node_of(certificate).is_some(),
            Accepted::One(one) => one.as_slice() == pin(certificate),
        };
        let now = self.clock.now_ms();
        match validity_ms(certificate) {
            _ if !pinned => Err(CertificateError::ApplicationVerificationFailure.into()),
            Some((from, _)) if now < from => Err(CertificateError::NotValidYet.into()),
            Some((_, until)) if until < now => Err(CertificateError::Expired.into()),
            Some(_) => Ok(()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn signed12(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Signed {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn signed13(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Signed {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

type Signed = Result<HandshakeSignatureValid, TlsError>;

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.accept(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Signed {
        self.signed12(message, cert, dss)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Signed {
        self.signed13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.accept(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Signed {
        self.signed12(message, cert, dss)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Signed {
        self.signed13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
