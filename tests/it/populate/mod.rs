//! Content-addressed caches: what mirrors give, what is verified, what is saved, and what a kill leaves.

mod case;
mod credentials;
mod external_data;
mod flow;
mod gateways;
mod kills;
mod mirrors;
mod objects;
mod restoring;
mod volumes;
