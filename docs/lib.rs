//! Nothing but its tests: they hold what the documents beside this file say.
