import { Component, inject } from '@angular/core';
import { Router, RouterLink, RouterOutlet } from '@angular/router';

import { environment } from './environment';
import { Session } from './session';

@Component({
  selector: 'ph-root',
  imports: [RouterLink, RouterOutlet],
  template: `
    <header>
      <h1><a routerLink="/posts">PostHub</a></h1>
      @if (session.token()) {
        <button (click)="leave()">Log out</button>
      }
    </header>
    <router-outlet />
    <footer>
      <small>version {{ environment.version }}</small>
    </footer>
  `,
})
export class App {
  protected readonly session = inject(Session);
  protected readonly environment = environment;
  private readonly router = inject(Router);

  protected leave(): void {
    this.session.end();
    void this.router.navigateByUrl('/login');
  }
}
