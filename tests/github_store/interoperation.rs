//! The client of GitHubs own actions.
