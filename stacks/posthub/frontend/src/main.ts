import { provideHttpClient, withInterceptors } from '@angular/common/http';
import { bootstrapApplication } from '@angular/platform-browser';
import { provideRouter, withComponentInputBinding } from '@angular/router';

import { App } from './app/app';
import { loggedIn, withToken } from './app/session';

bootstrapApplication(App, {
  providers: [
    provideHttpClient(withInterceptors([withToken])),
    provideRouter(
      [
        { path: 'login', loadComponent: () => import('./app/login').then((m) => m.Login) },
        { path: 'posts', canActivate: [loggedIn], loadComponent: () => import('./app/posts').then((m) => m.Posts) },
        { path: 'posts/:id', canActivate: [loggedIn], loadComponent: () => import('./app/similar').then((m) => m.Similar) },
        { path: '**', redirectTo: 'posts' },
      ],
      withComponentInputBinding(),
    ),
  ],
}).catch((error: unknown) => console.error(error));
