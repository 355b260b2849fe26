//! Entitlements, as a provider sends them: nothing makes the parser panic, and what it has read it reads again the same.
#![no_main]

use domain::access::{Entitlement, Pattern};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(read) = Entitlement::parse(text) {
        let canonical = read.to_string();
        assert_eq!(Entitlement::parse(&canonical).as_ref(), Ok(&read), "{canonical}");
    }
    if let Ok(pattern) = Pattern::parse(text) {
        pattern.fits(text);
        pattern.fits("urn:mace:egi.eu:group:vo.example.org:role=member#aai.egi.eu");
    }
});
