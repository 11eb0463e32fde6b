import { Component, effect, inject, input, numberAttribute, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api, Post, SimilarPost } from './api';

@Component({
  selector: 'ph-similar',
  imports: [RouterLink],
  template: `
    @if (post(); as post) {
      <article>
        <h2>{{ post.title }}</h2>
        <small>{{ post.author }}</small>
        <p>{{ post.body }}</p>
      </article>
      <h3>Similar posts</h3>
      @for (other of similar(); track other.id) {
        <article>
          <h2><a [routerLink]="['/posts', other.id]">{{ other.title }}</a></h2>
          <small>{{ other.author }}, distance {{ other.distance.toFixed(2) }}</small>
        </article>
      } @empty {
        <p>{{ post.embedded ? 'None yet.' : 'Still being worked out; come back in a moment.' }}</p>
      }
    }
    @if (failure()) {
      <p class="error">{{ failure() }}</p>
    }
  `,
})
export class Similar {
  /** From the route. */
  readonly id = input.required({ transform: numberAttribute });
  protected readonly post = signal<Post | null>(null);
  protected readonly similar = signal<SimilarPost[]>([]);
  protected readonly failure = signal('');
  private readonly api = inject(Api);

  constructor() {
    effect((onCleanup) => {
      const id = this.id();
      const failed = () => this.failure.set('This post could not be loaded.');
      const one = this.api.post(id).subscribe({ next: (post) => this.post.set(post), error: failed });
      const others = this.api.similar(id).subscribe({ next: (posts) => this.similar.set(posts), error: failed });
      onCleanup(() => {
        one.unsubscribe();
        others.unsubscribe();
      });
    });
  }
}
