//! A certificate authority and a time-stamp authority of OpenSSL's, in a temporary folder.

use std::path::PathBuf;
use std::process::Command;

use anchor::timestamp::Roots;
use schemas::Digest;
use tempfile::TempDir;

const SETTINGS: &str = "
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[tsa]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[no_usage]
basicConstraints = CA:FALSE
[uncritical]
extendedKeyUsage = timeStamping
[two_usages]
extendedKeyUsage = critical,timeStamping,codeSigning
[other_usage]
extendedKeyUsage = critical,codeSigning
[authority]
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1,millisecs:500,microsecs:100
ess_cert_id_alg = sha256
signer_digest = sha256
serial = serial
[old]
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha1
signer_digest = sha512
clock_precision_digits = 6
serial = serial
[choosy]
default_policy = 1.2.3.4.1
digests = sha512
ess_cert_id_alg = sha256
signer_digest = sha256
serial = serial
";

pub(crate) const DATA: &[u8] = b"a checkpoint\n";

pub(crate) const RSA: &[&str] = &["rsa:2048"];
pub(crate) const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"];

/// The subject of a root and of any other certificate.
pub(crate) const ROOT: &str = "CN=Root,O=Example\\, Inc.";
pub(crate) const AUTHORITY: &str = "CN=Time Stamps 1,O=Example\\, Inc.";

pub(crate) fn data() -> Digest {
    Digest::of(DATA)
}

/// Files named after certificates: `NAME.pem`, `NAME.key`.
pub(crate) struct OpenSsl(TempDir);

impl OpenSsl {
    /// With a certificate `root`, which signs itself.
    pub(crate) fn new() -> Self {
        let openssl = Self(tempfile::tempdir().unwrap());
        openssl.write("settings", SETTINGS.as_bytes());
        openssl.write("serial", b"0a2b\n");
        openssl.root("root");
        openssl
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs it in the folder, and gives what it printed if it succeeded.
    pub(crate) fn try_run(&self, arguments: &str, more: &[&str]) -> Result<Vec<u8>, String> {
        let arguments = arguments.split_whitespace().chain(more.iter().copied());
        let mut command = Command::new("openssl");
        let output = command.args(arguments).current_dir(self.0.path()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(output.stdout) } else { Err(words) }
    }

    pub(crate) fn run(&self, arguments: &str, more: &[&str]) -> Vec<u8> {
        self.try_run(arguments, more).unwrap_or_else(|words| panic!("{arguments}: {words}"))
    }

    pub(crate) fn root(&self, name: &str) {
        let subject = "/O=Example, Inc./CN=Root";
        let request = format!(
            "req -config settings -x509 -nodes -newkey rsa:2048 -keyout {name}.key -out {name}.pem -days 30 -extensions root -subj"
        );
        self.run(&request, &[subject]);
    }

    /// `name`, with a new key, signed by `issuer` for so many days with the extensions of this section.
    pub(crate) fn certify(&self, name: &str, key: &[&str], issuer: &str, section: &str, days: i32) {
        let subject = "/O=Example, Inc./CN=Time Stamps 1";
        let request =
            format!("req -config settings -new -nodes -keyout {name}.key -out {name}.csr -newkey");
        self.run(&request, &[key, &["-subj", subject]].concat());
        self.sign(name, name, issuer, section, days);
    }

    /// `name` for the key of the request `request`.
    pub(crate) fn sign(&self, name: &str, request: &str, issuer: &str, section: &str, days: i32) {
        self.run(
            &format!(
                "x509 -req -in {request}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days {days} -extfile settings -extensions {section} -out {name}.pem"
            ),
            &[],
        );
    }

    /// What an authority with the settings of this section answers.
    pub(crate) fn reply(
        &self,
        query: &[u8],
        section: &str,
        signer: &str,
        more: &[&str],
    ) -> Vec<u8> {
        self.write("query.tsq", query);
        let reply = format!(
            "ts -reply -config settings -section {section} -queryfile query.tsq -signer {signer}.pem -inkey {signer}.key -out response.tsr"
        );
        self.run(&reply, more);
        self.read("response.tsr")
    }

    /// The `TSTInfo` of a response.
    pub(crate) fn info(&self, granted: &[u8]) -> Vec<u8> {
        self.write("granted.tsr", granted);
        self.run("ts -reply -in granted.tsr -token_out -out granted.tst", &[]);
        self.run("cms -verify -inform DER -in granted.tst -noverify -binary -out info.der", &[]);
        self.read("info.der")
    }

    /// A response around a `TSTInfo` that `openssl cms` signs, as the arguments say.
    pub(crate) fn signed(&self, info: &[u8], arguments: &str) -> Vec<u8> {
        self.write("info.der", info);
        let sign =
            "cms -sign -binary -nodetach -outform DER -nosmimecap -in info.der -out token.der";
        self.run(&format!("{sign} {arguments}"), &[]);
        respond(&self.read("token.der"))
    }

    /// Whether `openssl ts -verify` accepts it.
    pub(crate) fn verify(&self, response: &[u8], root: &str) -> Result<(), String> {
        self.write("verified.tsr", response);
        self.write("data", DATA);
        let verify = format!("ts -verify -data data -in verified.tsr -CAfile {root}.pem");
        self.try_run(&verify, &[]).map(drop)
    }

    pub(crate) fn roots(&self, root: &str) -> Roots {
        Roots::from_pem(&self.read(&format!("{root}.pem"))).unwrap()
    }
}

/// `TimeStampResp` around a token: granted.
pub(crate) fn respond(token: &[u8]) -> Vec<u8> {
    sequence(&[&[0x30, 3, 2, 1, 0], token].concat())
}

fn sequence(contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82], length.as_slice(), contents].concat()
}
