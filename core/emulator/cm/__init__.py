"""The emulated content API, in the shapes of Directus."""
