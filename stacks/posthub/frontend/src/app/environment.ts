/** What public/env.js carries; its values come from the container's environment. */
export interface Environment {
  stripePublicKey: string;
  sentryDsn: string;
  version: string;
}

declare global {
  interface Window {
    posthub?: Environment;
  }
}

export const environment: Environment = window.posthub ?? { stripePublicKey: '', sentryDsn: '', version: 'dev' };
