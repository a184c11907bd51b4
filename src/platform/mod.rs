//! Where this runs: environment, facts of the job, and the dialect its log speaks.
