import { Component, inject, signal } from '@angular/core';
import { FormsModule } from '@angular/forms';
import { Router } from '@angular/router';
import { switchMap } from 'rxjs';

import { Api } from './api';
import { Session } from './session';

@Component({
  selector: 'ph-login',
  imports: [FormsModule],
  template: `
    <form (ngSubmit)="login()">
      <input name="username" [(ngModel)]="credentials.username" placeholder="User name" autocomplete="username" required />
      <input
        name="password"
        type="password"
        [(ngModel)]="credentials.password"
        placeholder="Password"
        autocomplete="current-password"
        required
      />
      <button type="submit">Log in</button>
      <button type="button" (click)="register()">Register</button>
      @if (failure()) {
        <p class="error">{{ failure() }}</p>
      }
    </form>
  `,
})
export class Login {
  protected readonly credentials = { username: '', password: '' };
  protected readonly failure = signal('');
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  private readonly router = inject(Router);

  protected login(): void {
    this.enter(this.api.login(this.credentials), 'User name and password do not match.');
  }

  protected register(): void {
    const registered = this.api.register(this.credentials).pipe(switchMap(() => this.api.login(this.credentials)));
    this.enter(registered, 'This name is taken, or the password is too short or too common.');
  }

  private enter(attempt: ReturnType<Api['login']>, refused: string): void {
    attempt.subscribe({
      next: ({ access }) => {
        this.session.begin(access);
        void this.router.navigateByUrl('/posts');
      },
      error: ({ status }) =>
        this.failure.set(status >= 400 && status < 500 ? refused : 'The server does not answer; try again.'),
    });
  }
}
