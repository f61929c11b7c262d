use release::config::BootConfig;
use release::manifest::HostConfiguration;

/// The host configuration manifest.
pub(super) fn manifest(bytes: &[u8]) {
    match HostConfiguration::parse(bytes) {
        Ok(manifest) => {
            let again = HostConfiguration::parse(manifest.to_json().as_bytes());
            assert_eq!(
                again.expect("what it writes it reads").to_json(),
                manifest.to_json()
            );
        }
        Err(error) => {
            assert!(error.id().starts_with("DB"));
            assert!(!error.to_string().is_empty());
        }
    }
}

/// `deboot.toml`.
pub(super) fn config(bytes: &[u8]) {
    if let Err(error) = BootConfig::parse(&String::from_utf8_lossy(bytes)) {
        assert!(error.id().starts_with("DB"));
        assert!(!error.to_string().is_empty());
    }
}
