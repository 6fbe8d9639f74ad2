//! Hashes, HMACs, and the encryption that API Management adds to `byte[]`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use parking_lot::Mutex;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, Machine};
use crate::value::{Algorithm, Hash, Object, Value};

macro_rules! hash {
    ($name:literal, $algorithm:expr) => {
        Table {
            name: $name,
            namespace: "System.Security.Cryptography",
            bases: &["HashAlgorithm"],
            members: &[
                Member(concat!("static ", $name, " Create()"), |_, _| {
                    Ok(plain($algorithm))
                }),
                Member("static byte[] HashData(byte[] data)", |m, a| {
                    let data = a.bytes(0)?;
                    m.charge(data.len() / 8)?;
                    m.bytes(digest($algorithm, &data))
                }),
            ],
            ..Table::CLASS
        }
    };
}

macro_rules! managed {
    ($name:literal, $algorithm:expr) => {
        Table {
            name: $name,
            namespace: "System.Security.Cryptography",
            bases: &["HashAlgorithm"],
            members: &[Member("new()", |_, _| Ok(plain($algorithm)))],
            ..Table::CLASS
        }
    };
}

macro_rules! keyed {
    ($name:literal, $algorithm:expr) => {
        Table {
            name: $name,
            namespace: "System.Security.Cryptography",
            bases: &["HMAC"],
            members: &[
                Member("new(byte[] key)", |_, a| {
                    Ok(with_key($algorithm, a.bytes(0)?))
                }),
                Member("new()", |m, _| {
                    let key = (0..8).flat_map(|_| m.random().to_le_bytes()).collect();
                    Ok(with_key($algorithm, key))
                }),
            ],
            ..Table::CLASS
        }
    };
}

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "HashAlgorithm",
        namespace: "System.Security.Cryptography",
        members: &[
            Member("byte[] ComputeHash(byte[] data)", compute),
            Member("void Dispose()", |_, _| Ok(Value::Null)),
        ],
        ..Table::CLASS
    },
    Table {
        name: "HMAC",
        namespace: "System.Security.Cryptography",
        bases: &["HashAlgorithm"],
        members: &[
            Member("byte[] Key", |m, a| match &*a.object(0)? {
                Object::Hash(Hash { key: Some(key), .. }) => {
                    let key = key.lock().clone();
                    m.bytes(key)
                }
                _ => Err(Fault::null()),
            }),
            Member("void set_Key(byte[] key)", |_, a| {
                let bytes = a.bytes(1)?;
                if let Object::Hash(Hash { key: Some(key), .. }) = &*a.object(0)? {
                    *key.lock() = bytes;
                }
                Ok(Value::Null)
            }),
        ],
        ..Table::CLASS
    },
    hash!("MD5", Algorithm::Md5),
    hash!("SHA1", Algorithm::Sha1),
    hash!("SHA256", Algorithm::Sha256),
    hash!("SHA384", Algorithm::Sha384),
    hash!("SHA512", Algorithm::Sha512),
    managed!("SHA1Managed", Algorithm::Sha1),
    managed!("SHA256Managed", Algorithm::Sha256),
    managed!("SHA384Managed", Algorithm::Sha384),
    managed!("SHA512Managed", Algorithm::Sha512),
    keyed!("HMACMD5", Algorithm::Md5),
    keyed!("HMACSHA1", Algorithm::Sha1),
    keyed!("HMACSHA256", Algorithm::Sha256),
    keyed!("HMACSHA384", Algorithm::Sha384),
    keyed!("HMACSHA512", Algorithm::Sha512),
    Table {
        name: "CryptographyExtensions",
        members: &[
            Member(
                "byte[] Encrypt(this byte[] data, string algorithm, byte[] key, byte[] iv)",
                |m, a| cipher(m, a, true),
            ),
            Member(
                "byte[] Decrypt(this byte[] data, string algorithm, byte[] key, byte[] iv)",
                |m, a| cipher(m, a, false),
            ),
            Member(
                "bool VerifyNoRevocation(this X509Certificate2 certificate)",
                |_, a| match a.value(0) {
                    Value::Certificate(certificate) => Ok(certificate.trusted.into()),
                    _ => Err(Fault::null()),
                },
            ),
        ],
        ..Table::CLASS
    },
];

fn plain(algorithm: Algorithm) -> Value {
    Value::object(Object::Hash(Hash {
        algorithm,
        key: None,
    }))
}

fn with_key(algorithm: Algorithm, key: Vec<u8>) -> Value {
    Value::object(Object::Hash(Hash {
        algorithm,
        key: Some(Mutex::new(key)),
    }))
}

fn compute(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let data = call.bytes(1)?;
    machine.charge(data.len() / 8)?;
    match &*call.object(0)? {
        Object::Hash(Hash {
            algorithm,
            key: None,
        }) => machine.bytes(digest(*algorithm, &data)),
        Object::Hash(Hash {
            algorithm,
            key: Some(key),
        }) => {
            let code = authenticated(*algorithm, &key.lock(), &data)?;
            machine.bytes(code)
        }
        _ => Err(Fault::null()),
    }
}

fn digest(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Md5 => Md5::digest(data).to_vec(),
        Algorithm::Sha1 => Sha1::digest(data).to_vec(),
        Algorithm::Sha256 => Sha256::digest(data).to_vec(),
        Algorithm::Sha384 => Sha384::digest(data).to_vec(),
        Algorithm::Sha512 => Sha512::digest(data).to_vec(),
    }
}

fn authenticated(algorithm: Algorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Fault> {
    macro_rules! code {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key)
                .map_err(|_| bad("Specified key is not a valid size for this algorithm."))?;
            mac.update(data);
            Ok(mac.finalize().into_bytes().to_vec())
        }};
    }
    match algorithm {
        Algorithm::Md5 => code!(Md5),
        Algorithm::Sha1 => code!(Sha1),
        Algorithm::Sha256 => code!(Sha256),
        Algorithm::Sha384 => code!(Sha384),
        Algorithm::Sha512 => code!(Sha512),
    }
}

fn bad(message: &str) -> Fault {
    Fault::new("CryptographicException", message)
}

/// AES in CBC mode with PKCS #7 padding, which are .NET's defaults.
fn cipher(machine: &mut Machine<'_>, call: &mut Call<'_>, encrypt: bool) -> Result<Value, Fault> {
    use cbc::cipher::{
        BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7,
    };
    let (data, name, key, iv) = (
        call.bytes(0)?,
        call.text(1)?,
        call.bytes(2)?,
        call.bytes(3)?,
    );
    if !name.eq_ignore_ascii_case("aes") {
        return Err(Fault::new(
            "NotSupportedException",
            format!("The algorithm '{name}' is not known here: 'Aes' is."),
        ));
    }
    machine.allocate(data.len() + 16)?;
    machine.charge(data.len() / 4)?;
    macro_rules! run {
        ($aes:ty) => {{
            let size = |_| bad("Specified key is not a valid size for this algorithm.");
            if encrypt {
                Ok(cbc::Encryptor::<$aes>::new_from_slices(&key, &iv)
                    .map_err(size)?
                    .encrypt_padded_vec::<Pkcs7>(&data))
            } else {
                cbc::Decryptor::<$aes>::new_from_slices(&key, &iv)
                    .map_err(size)?
                    .decrypt_padded_vec::<Pkcs7>(&data)
                    .map_err(|_| bad("Padding is invalid and cannot be removed."))
            }
        }};
    }
    let result: Result<Vec<u8>, Fault> = match key.len() {
        16 => run!(aes::Aes128),
        24 => run!(aes::Aes192),
        32 => run!(aes::Aes256),
        _ => Err(bad("Specified key is not a valid size for this algorithm.")),
    };
    result.map(Value::from_bytes)
}
