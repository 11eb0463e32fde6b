import { HttpInterceptorFn } from '@angular/common/http';
import { Injectable, inject, signal } from '@angular/core';
import { CanActivateFn, Router } from '@angular/router';
import { catchError, throwError } from 'rxjs';

const KEY = 'posthub.access';

/** The access token. Session storage: it goes with the tab. */
@Injectable({ providedIn: 'root' })
export class Session {
  readonly token = signal(sessionStorage.getItem(KEY));

  begin(token: string): void {
    sessionStorage.setItem(KEY, token);
    this.token.set(token);
  }

  end(): void {
    sessionStorage.removeItem(KEY);
    this.token.set(null);
  }
}

/** Sends the token along, and ends the session when the API no longer takes it. */
export const withToken: HttpInterceptorFn = (request, next) => {
  const session = inject(Session);
  const router = inject(Router);
  const token = session.token();
  const authorized = token ? request.clone({ setHeaders: { Authorization: `Bearer ${token}` } }) : request;
  return next(authorized).pipe(
    catchError((error) => {
      if (token && error.status === 401) {
        session.end();
        void router.navigateByUrl('/login');
      }
      return throwError(() => error);
    }),
  );
};

export const loggedIn: CanActivateFn = () => inject(Session).token() !== null || inject(Router).parseUrl('/login');
