// Filled in when the container starts (docker-entrypoint.sh): one build serves every environment.
window.posthub = {
  stripePublicKey: "${STRIPE_PUBLIC_KEY}",
  sentryDsn: "${SENTRY_DSN}",
  version: "${VERSION}",
};
